-- A login that can read V_CARD_USE and nothing else. 只读登录：仅可查询 V_CARD_USE，别无其他权限。
--
-- Run by the DBA on the primary (logins: on every replica, with the same SID, so that a failover keeps it working).
-- Replace the password; it belongs into the Airflow connection and nowhere else. No role of the server or the database
-- is given: not db_datareader, which reads every table.
-- 在主库执行；可用性组的每个副本都要建同 SID 的登录。不授予 db_datareader。
CREATE LOGIN card_usage_reader
WITH PASSWORD = N'<a long random password>', DEFAULT_LANGUAGE = us_english, CHECK_POLICY = ON;
GO
CREATE USER card_usage_reader FOR LOGIN card_usage_reader WITH DEFAULT_SCHEMA = dbo;
GO
GRANT SELECT ON dbo.V_CARD_USE TO card_usage_reader;
GO
-- Only with the probe "heartbeat" (heartbeat.sql). 仅当使用心跳表时：
GRANT SELECT ON dbo.CARD_USAGE_HEARTBEAT TO card_usage_reader;
GO
-- Only with the probe "replication", in the master database: it shows the state of all databases of the server, so
-- prefer the heartbeat. 仅当使用可用性组状态时，在 master 库执行（权限面较大，优先用心跳表）：
--   GRANT VIEW SERVER STATE TO card_usage_reader;
--
-- Columns of text dates and side tables need no right of their own: the view's owner (dbo) owns them too.
-- Hospitals with the shapes winning or trasen grant SELECT on the tables that the head of each feed's SQL file names.
