-- 执行前检查：版本、排序规则、关联列类型、时间列索引、统计信息 / What the database is like, before the view is written.
-- SQL Server 2008 R2 or later. Read-only. Put the tables and columns of your own HIS into the two lists.
USE [THIS4];  -- 改为 HIS 库名 / put the name of the HIS database here.
GO
IF DB_NAME() IN (N'master', N'model', N'msdb', N'tempdb')
BEGIN
    RAISERROR(N'Put the name of the HIS database into USE: nothing was done.', 16, 1);
    SET NOEXEC ON;
END;
GO
-- 1. 版本与库设置 (version and settings). Snapshot isolation lets the pipeline read while a nightly job moves rows:
--    ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON, and isolation = "snapshot" in the hospital's file.
SELECT CAST(SERVERPROPERTY('ProductVersion') AS varchar(32)) AS SERVER_VERSION, compatibility_level, collation_name,
       snapshot_isolation_state_desc, is_read_committed_snapshot_on
FROM sys.databases
WHERE database_id = DB_ID();
GO
-- 2. 关联列的类型与排序规则 (types and collations of the columns that are joined). Those of one pair must be alike: a
--    varchar that is compared with an nvarchar, or a number with text, is converted row by row and its index is of no
--    use; two collations are refused (error 468). Remedy: make the side table's column like the vendor's.
SELECT o.name AS TABLE_NAME, c.name AS COLUMN_NAME, t.name AS TYPE_NAME, c.max_length, c.collation_name
FROM sys.columns c
JOIN sys.objects o ON o.object_id = c.object_id
JOIN sys.types t ON t.user_type_id = c.user_type_id
WHERE o.name IN (N'SF_BRXXK', N'ZY_BRXXK', N'xt_brxx', N'YY_KSBMK', N'GH_GHZDK', N'GH_NGHZDK', N'SF_BRJSK')
  AND c.name IN (N'patid', N'brid', N'sfzh', N'id', N'ksdm', N'sfksdm', N'qrCodeText')
ORDER BY c.name, o.name;
GO
-- 3. 时间列与关联列的索引 (indexes that begin with the time's column, or with the column that is joined): one row each.
SELECT o.name AS TABLE_NAME, c.name AS COLUMN_NAME, i.name AS INDEX_NAME
FROM sys.indexes i
JOIN sys.index_columns ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id AND ic.key_ordinal = 1
JOIN sys.columns c ON c.object_id = ic.object_id AND c.column_id = ic.column_id
JOIN sys.objects o ON o.object_id = i.object_id
WHERE c.name IN (N'ghrq', N'sfrq', N'lrrq', N'fyrq', N'jsrq', N'ryrq', N'pubtime', N'brid', N'sfzh', N'patid')
ORDER BY o.name, c.name;
GO
-- 4. 时间列的统计信息何时更新 (when the statistics of the time's column were last updated). Windows ask for the newest hours,
--    which statistics of last week have never seen: the server then expects one row and plans for one. Update them on
--    the primary each night before the report, not with a full scan:  UPDATE STATISTICS dbo.GH_GHZDK;
SELECT o.name AS TABLE_NAME, s.name AS STATISTICS_NAME, STATS_DATE(s.object_id, s.stats_id) AS LAST_UPDATED
FROM sys.stats s
JOIN sys.objects o ON o.object_id = s.object_id
WHERE o.name IN (N'GH_GHZDK', N'SF_BRJSK', N'SF_MZCFK', N'SF_HJCFK', N'ZY_BRSYK', N'ZY_BRJSK', N'ZYB_BRYJK')
ORDER BY LAST_UPDATED;
GO
SET NOEXEC OFF;
GO
