-- 视图自检；每段应如注释所说。只返回计数与代码，不返回患者信息 / Checks V_CARD_USE before the pipeline does: counts and codes.
-- SQL Server 2008 R2 or later. Read-only, nothing that says who a patient is. Run it as the login card_usage_reader.
-- Bounds are written yyyymmdd, which is right for times as text and for datetime (时间列为文本或 datetime 均可).
USE [THIS4];  -- 改为 HIS 库名 / put the name of the HIS database here.
GO
IF DB_NAME() IN (N'master', N'model', N'msdb', N'tempdb')
BEGIN
    RAISERROR(N'Put the name of the HIS database into USE: nothing was done.', 16, 1);
    SET NOEXEC ON;
END;
GO
-- 1. 应有 13 列，类型与 docs/his-contract.md 一致 (every column with its type: 13 rows).
SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, COLLATION_NAME, IS_NULLABLE
FROM INFORMATION_SCHEMA.COLUMNS
WHERE TABLE_NAME = N'V_CARD_USE'
ORDER BY ORDINAL_POSITION;
GO
-- 2. 昨日各业务逐小时条数与作废数 (yesterday by feed and hour: no hour of the day missing, refunds below a few percent).
SELECT FEED, HOUR_OF_DAY, COUNT(*) AS ROWS_OF_HOUR, SUM(VOIDED) AS VOIDED_OF_HOUR
FROM (
    SELECT FEED, VOIDED, SUBSTRING(CONVERT(varchar(20), OCCURRED_AT, 120),
                                   CHARINDEX(':', CONVERT(varchar(20), OCCURRED_AT, 120)) - 2, 2) AS HOUR_OF_DAY
    FROM dbo.V_CARD_USE
    WHERE OCCURRED_AT >= CONVERT(char(8), DATEADD(day, -1, GETDATE()), 112)
      AND OCCURRED_AT < CONVERT(char(8), GETDATE(), 112)
) uses
GROUP BY FEED, HOUR_OF_DAY
ORDER BY FEED, HOUR_OF_DAY;
GO
-- 3. 主键重复，应无结果 (keys that come twice: no rows).
SELECT FEED, COUNT(*) AS KEYS_THAT_COME_TWICE
FROM (
    SELECT FEED, SOURCE_ID
    FROM dbo.V_CARD_USE
    WHERE OCCURRED_AT >= CONVERT(char(8), DATEADD(day, -1, GETDATE()), 112)
      AND OCCURRED_AT < CONVERT(char(8), GETDATE(), 112)
    GROUP BY FEED, SOURCE_ID
    HAVING COUNT(*) > 1
) doubled
GROUP BY FEED;
GO
-- 4. 必填项缺失数，应全为 0 (what is missing where it is needed: all zero).
SELECT FEED,
       SUM(CASE WHEN SOURCE_ID IS NULL THEN 1 ELSE 0 END) AS NO_KEY,
       SUM(CASE WHEN SCENE IS NULL THEN 1 ELSE 0 END) AS NO_SCENE,
       SUM(CASE WHEN CARD_TYPE IS NULL THEN 1 ELSE 0 END) AS NO_CARD_TYPE,
       SUM(CASE WHEN CHANNEL IS NULL THEN 1 ELSE 0 END) AS NO_CHANNEL,
       SUM(CASE WHEN FEED = 'registration' AND DEPARTMENT IS NULL THEN 1 ELSE 0 END) AS NO_DEPARTMENT,
       SUM(CASE WHEN ID_NUMBER IS NULL AND QR_CODE_TEXT IS NULL THEN 1 ELSE 0 END) AS NOBODY
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT >= CONVERT(char(8), DATEADD(day, -1, GETDATE()), 112)
  AND OCCURRED_AT < CONVERT(char(8), GETDATE(), 112)
GROUP BY FEED
ORDER BY FEED;
GO
-- 5. 在用的院内代码，逐一对照 (local codes in use: each needs a line in the alias files, unless it is a standard code).
SELECT 'card_type' AS CODE_TABLE, CARD_TYPE AS LOCAL_CODE, NULL AS LOCAL_NAME, COUNT(*) AS USES
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT >= CONVERT(char(8), DATEADD(day, -1, GETDATE()), 112)
  AND OCCURRED_AT < CONVERT(char(8), GETDATE(), 112)
GROUP BY CARD_TYPE
UNION ALL
SELECT 'channel', CHANNEL, NULL, COUNT(*)
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT >= CONVERT(char(8), DATEADD(day, -1, GETDATE()), 112)
  AND OCCURRED_AT < CONVERT(char(8), GETDATE(), 112)
GROUP BY CHANNEL
UNION ALL
SELECT 'department', DEPARTMENT, DEPARTMENT_NAME, COUNT(*)
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT >= CONVERT(char(8), DATEADD(day, -1, GETDATE()), 112)
  AND OCCURRED_AT < CONVERT(char(8), GETDATE(), 112)
GROUP BY DEPARTMENT, DEPARTMENT_NAME;
GO
-- 6. 同一健康卡对应多个证件号，应为 0 (health cards of more than one person: zero, or strangers' cards are found).
SELECT COUNT(*) AS CARDS_OF_TWO_PEOPLE
FROM (
    SELECT QR_CODE_TEXT
    FROM dbo.V_CARD_USE
    WHERE QR_CODE_TEXT IS NOT NULL
      AND OCCURRED_AT >= CONVERT(char(8), DATEADD(day, -1, GETDATE()), 112)
      AND OCCURRED_AT < CONVERT(char(8), GETDATE(), 112)
    GROUP BY QR_CODE_TEXT
    HAVING COUNT(DISTINCT ID_NUMBER) > 1
) shared;
GO
-- 7. 任何时间窗都取不到的记录，应无结果 (uses whose time no window can hold: no rows; give them their time in the HIS).
SELECT FEED, COUNT(*) AS OUTSIDE_EVERY_WINDOW
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT IS NULL OR OCCURRED_AT < '20000101' OR OCCURRED_AT >= '21000101'
GROUP BY FEED;
GO
-- 8. 权限：查询为 1，其余为 0 (rights: SELECT 1, the others 0).
SELECT HAS_PERMS_BY_NAME('dbo.V_CARD_USE', 'OBJECT', 'SELECT') AS CAN_SELECT,
       HAS_PERMS_BY_NAME('dbo.V_CARD_USE', 'OBJECT', 'INSERT') AS CAN_INSERT,
       HAS_PERMS_BY_NAME('dbo.V_CARD_USE', 'OBJECT', 'UPDATE') AS CAN_UPDATE,
       HAS_PERMS_BY_NAME('dbo.V_CARD_USE', 'OBJECT', 'DELETE') AS CAN_DELETE;
GO
SET NOEXEC OFF;
GO
