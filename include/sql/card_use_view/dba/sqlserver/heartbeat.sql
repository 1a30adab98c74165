-- 心跳表：证明副本已经同步到哪一刻 / Heartbeat: proves up to which moment the replica has followed.
-- SQL Server 2008 R2 or later; may be run again. Run it before login.sql.
--
-- 主库每分钟写一次；副本按提交顺序回放，看到心跳即已看到此前提交的全部业务数据 (one row, that the primary writes each minute).
-- Replication carries it over in the order of commits: what the replica shows here, it shows of all tables. Times are
-- the server's local time (Asia/Shanghai), as in the business tables.
USE [THIS4];  -- 改为 HIS 库名 / put the name of the HIS database here.
GO
IF DB_NAME() IN (N'master', N'model', N'msdb', N'tempdb')
BEGIN
    RAISERROR(N'Put the name of the HIS database into USE: nothing was done.', 16, 1);
    SET NOEXEC ON;
END;
GO
IF OBJECT_ID(N'dbo.CARD_USAGE_HEARTBEAT', N'U') IS NULL
    CREATE TABLE dbo.CARD_USAGE_HEARTBEAT (
        id tinyint NOT NULL CONSTRAINT pk_card_usage_heartbeat PRIMARY KEY,
        beat_at datetime NOT NULL
    );
GO
IF NOT EXISTS (SELECT 1 FROM dbo.CARD_USAGE_HEARTBEAT)
    INSERT INTO dbo.CARD_USAGE_HEARTBEAT (id, beat_at) VALUES (1, GETDATE());
GO
-- SQL Server 代理作业 (a job of SQL Server Agent), each minute. It acts only where the database may be written, so on an
-- availability group it is made on each replica (可用性组的每个副本都要建). Without Agent (Express) let the Windows task
-- scheduler run the UPDATE.
IF NOT EXISTS (SELECT 1 FROM msdb.dbo.sysjobs WHERE name = N'card_usage_heartbeat')
BEGIN
    DECLARE @beat nvarchar(1000);
    SET @beat = N'IF DATABASEPROPERTYEX(N''' + DB_NAME() + N''', ''Updateability'') = ''READ_WRITE'' EXEC (N''UPDATE '
        + QUOTENAME(DB_NAME()) + N'.dbo.CARD_USAGE_HEARTBEAT SET beat_at = GETDATE() WHERE id = 1'')';
    EXEC msdb.dbo.sp_add_job @job_name = N'card_usage_heartbeat', @enabled = 1;
    EXEC msdb.dbo.sp_add_jobstep @job_name = N'card_usage_heartbeat', @step_name = N'beat', @subsystem = N'TSQL',
        @database_name = N'master', @command = @beat;
    EXEC msdb.dbo.sp_add_jobschedule @job_name = N'card_usage_heartbeat', @name = N'every minute', @freq_type = 4,
        @freq_interval = 1, @freq_subday_type = 4, @freq_subday_interval = 1;
    EXEC msdb.dbo.sp_add_jobserver @job_name = N'card_usage_heartbeat';
END;
GO
-- 医院文件 (hospital's file): [his.freshness] probe = "heartbeat", table = "CARD_USAGE_HEARTBEAT", column = "beat_at".
SET NOEXEC OFF;
GO
