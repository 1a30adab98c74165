-- 只读登录：仅可查询视图和心跳表，别无其他权限 / A login that reads the view and the heartbeat, and nothing else.
-- SQL Server 2008 R2 or later; may be run again. Run it after heartbeat.sql and view.sql.
--
-- No role of the server or the database is given: not db_datareader, which reads every table (不授予 db_datareader).
USE [THIS4];  -- 改为 HIS 库名 / put the name of the HIS database here.
GO
IF DB_NAME() IN (N'master', N'model', N'msdb', N'tempdb')
BEGIN
    RAISERROR(N'Put the name of the HIS database into USE: nothing was done.', 16, 1);
    SET NOEXEC ON;
END;
GO
-- 1. 登录 (the login). 密码填在下面两个引号之间；只放进 Airflow 连接 (put a long random password between the quotes).
-- On an availability group every replica needs the login with the same SID, or a failover locks it out: part 4.
DECLARE @password nvarchar(100), @sql nvarchar(1000);
SET @password = N'';
IF SUSER_ID(N'card_usage_reader') IS NULL
BEGIN
    IF @password = N''
    BEGIN
        RAISERROR(N'Put a password between the quotes of @password: nothing was done.', 16, 1);
        SET NOEXEC ON;
    END;
    SET @sql = N'CREATE LOGIN card_usage_reader WITH PASSWORD = ' + QUOTENAME(@password, N'''')
        + N', DEFAULT_LANGUAGE = us_english, CHECK_POLICY = ON';
    EXEC (@sql);
END;
GO
-- 2. 库用户 (the user of the database).
IF USER_ID(N'card_usage_reader') IS NULL
    CREATE USER card_usage_reader FOR LOGIN card_usage_reader WITH DEFAULT_SCHEMA = dbo;
GO
-- 3. 权限 (what it may read). The view's owner (dbo) owns the tables behind it: they need no right of their own.
-- Hospitals with the shapes winning or trasen grant SELECT on the tables that the head of each feed's SQL file names.
IF OBJECT_ID(N'dbo.V_CARD_USE', N'V') IS NOT NULL
    GRANT SELECT ON dbo.V_CARD_USE TO card_usage_reader;
GO
IF OBJECT_ID(N'dbo.CARD_USAGE_HEARTBEAT', N'U') IS NOT NULL
    GRANT SELECT ON dbo.CARD_USAGE_HEARTBEAT TO card_usage_reader;
GO
-- Only with the probe "replication" (仅当使用可用性组状态时), in master. It shows the state of all databases of the server,
-- so prefer the heartbeat (权限面较大，优先用心跳表):
--   GRANT VIEW SERVER STATE TO card_usage_reader;
--
-- 4. 其他副本 (other replicas): CREATE LOGIN card_usage_reader WITH PASSWORD = ..., SID = the value that this shows.
SELECT name AS LOGIN_NAME, sid AS LOGIN_SID FROM sys.server_principals WHERE name = N'card_usage_reader';
GO
SET NOEXEC OFF;
GO
