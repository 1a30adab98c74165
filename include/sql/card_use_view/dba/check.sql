-- Checks V_CARD_USE before the pipeline does. 视图自检，由 DBA 执行；每段应如注释所说。只返回计数与代码，不返回患者信息。
--
-- Read-only; counts and codes only, nothing that says who a patient is. Run it as the login card_usage_reader.

-- 1. Every column, with its type: 13 rows. 应有 13 列，类型与 docs/his-contract.md 一致。
SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, IS_NULLABLE
FROM INFORMATION_SCHEMA.COLUMNS
WHERE TABLE_NAME = 'V_CARD_USE'
ORDER BY ORDINAL_POSITION;
GO
-- 2. Yesterday by feed and hour: no hour of the day missing, refunds below a few percent. 昨日各业务逐小时条数与作废数。
SELECT FEED, DATEPART(hour, OCCURRED_AT) AS HOUR_OF_DAY, COUNT(*) AS ROWS_OF_HOUR, SUM(VOIDED) AS VOIDED_OF_HOUR
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT >= DATEADD(day, -1, CAST(CAST(GETDATE() AS date) AS datetime))
  AND OCCURRED_AT < CAST(CAST(GETDATE() AS date) AS datetime)
GROUP BY FEED, DATEPART(hour, OCCURRED_AT)
ORDER BY FEED, HOUR_OF_DAY;
GO
-- 3. Keys that come twice: no rows. 主键重复，应无结果。
SELECT FEED, COUNT(*) AS KEYS_THAT_COME_TWICE
FROM (
    SELECT FEED, SOURCE_ID
    FROM dbo.V_CARD_USE
    WHERE OCCURRED_AT >= DATEADD(day, -1, CAST(CAST(GETDATE() AS date) AS datetime))
      AND OCCURRED_AT < CAST(CAST(GETDATE() AS date) AS datetime)
    GROUP BY FEED, SOURCE_ID
    HAVING COUNT(*) > 1
) doubled
GROUP BY FEED;
GO
-- 4. What is missing where it is needed: all zero. 必填项缺失数，应全为 0。
SELECT FEED,
       SUM(CASE WHEN SOURCE_ID IS NULL THEN 1 ELSE 0 END) AS NO_KEY,
       SUM(CASE WHEN SCENE IS NULL THEN 1 ELSE 0 END) AS NO_SCENE,
       SUM(CASE WHEN CARD_TYPE IS NULL THEN 1 ELSE 0 END) AS NO_CARD_TYPE,
       SUM(CASE WHEN CHANNEL IS NULL THEN 1 ELSE 0 END) AS NO_CHANNEL,
       SUM(CASE WHEN FEED = 'registration' AND DEPARTMENT IS NULL THEN 1 ELSE 0 END) AS NO_DEPARTMENT,
       SUM(CASE WHEN ID_NUMBER IS NULL AND QR_CODE_TEXT IS NULL THEN 1 ELSE 0 END) AS NOBODY
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT >= DATEADD(day, -1, CAST(CAST(GETDATE() AS date) AS datetime))
  AND OCCURRED_AT < CAST(CAST(GETDATE() AS date) AS datetime)
GROUP BY FEED
ORDER BY FEED;
GO
-- 5. Local codes in use: each needs a line in the alias files, unless it is a standard code. 在用的院内代码，逐一对照。
SELECT 'card_type' AS CODE_TABLE, CARD_TYPE AS LOCAL_CODE, NULL AS LOCAL_NAME, COUNT(*) AS USES
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT >= DATEADD(day, -1, CAST(CAST(GETDATE() AS date) AS datetime))
GROUP BY CARD_TYPE
UNION ALL
SELECT 'channel', CHANNEL, NULL, COUNT(*)
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT >= DATEADD(day, -1, CAST(CAST(GETDATE() AS date) AS datetime))
GROUP BY CHANNEL
UNION ALL
SELECT 'department', DEPARTMENT, DEPARTMENT_NAME, COUNT(*)
FROM dbo.V_CARD_USE
WHERE OCCURRED_AT >= DATEADD(day, -1, CAST(CAST(GETDATE() AS date) AS datetime))
GROUP BY DEPARTMENT, DEPARTMENT_NAME;
GO
-- 6. Rights: SELECT 1, the others 0. 权限：查询为 1，其余为 0。
SELECT HAS_PERMS_BY_NAME('dbo.V_CARD_USE', 'OBJECT', 'SELECT') AS CAN_SELECT,
       HAS_PERMS_BY_NAME('dbo.V_CARD_USE', 'OBJECT', 'INSERT') AS CAN_INSERT,
       HAS_PERMS_BY_NAME('dbo.V_CARD_USE', 'OBJECT', 'UPDATE') AS CAN_UPDATE,
       HAS_PERMS_BY_NAME('dbo.V_CARD_USE', 'OBJECT', 'DELETE') AS CAN_DELETE;
GO
