-- Heartbeat: proves up to which moment the replica has followed. 心跳表：证明副本已经同步到哪一刻。
--
-- One row that the PRIMARY writes each minute; replication carries it over in the order of commits, so what the replica
-- shows here, it shows of all tables. Times are the server's local time (Asia/Shanghai), as in the business tables.
-- 主库每分钟写一次；副本按提交顺序回放，看到心跳即已看到此前提交的全部业务数据。
CREATE TABLE dbo.CARD_USAGE_HEARTBEAT (
    id tinyint NOT NULL CONSTRAINT pk_card_usage_heartbeat PRIMARY KEY,
    beat_at datetime NOT NULL
);
GO
INSERT INTO dbo.CARD_USAGE_HEARTBEAT (id, beat_at) VALUES (1, GETDATE());
GO
-- SQL Server Agent, on the primary, every minute (on an availability group: on each replica, it acts only where it may
-- write). 由 SQL Server 代理作业每分钟执行：
--   IF DATABASEPROPERTYEX(DB_NAME(), 'Updateability') = 'READ_WRITE'
--       UPDATE dbo.CARD_USAGE_HEARTBEAT SET beat_at = GETDATE() WHERE id = 1;
--
-- In the hospital's file: [his.freshness] probe = "heartbeat", table = "CARD_USAGE_HEARTBEAT", column = "beat_at".
