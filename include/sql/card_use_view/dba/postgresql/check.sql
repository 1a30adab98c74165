-- 视图自检；每段应如注释所说。只返回计数与代码，不返回患者信息 / Checks V_CARD_USE before the pipeline does: counts and codes.
-- PostgreSQL 10 or later. Read-only, nothing that says who a patient is. Run it as card_usage_reader.
-- The bounds are those of timestamp columns; for char(16) write to_char(..., 'YYYYMMDD') around them.
-- 1. 应有 13 列，类型与 docs/his-contract.md 一致 (every column with its type: 13 rows).
SELECT column_name, data_type, character_maximum_length, collation_name, is_nullable
FROM information_schema.columns
WHERE table_schema = CURRENT_SCHEMA AND table_name = 'v_card_use'
ORDER BY ordinal_position;
-- 2. 昨日各业务逐小时条数与作废数 (yesterday by feed and hour: no hour of the day missing, refunds below a few percent).
SELECT FEED, EXTRACT(HOUR FROM OCCURRED_AT) AS HOUR_OF_DAY, COUNT(*) AS ROWS_OF_HOUR, SUM(VOIDED) AS VOIDED_OF_HOUR
FROM V_CARD_USE
WHERE OCCURRED_AT >= CURRENT_DATE - 1
  AND OCCURRED_AT < CURRENT_DATE
GROUP BY FEED, EXTRACT(HOUR FROM OCCURRED_AT)
ORDER BY FEED, HOUR_OF_DAY;
-- 3. 主键重复，应无结果 (keys that come twice: no rows).
SELECT FEED, COUNT(*) AS KEYS_THAT_COME_TWICE
FROM (
    SELECT FEED, SOURCE_ID
    FROM V_CARD_USE
    WHERE OCCURRED_AT >= CURRENT_DATE - 1
      AND OCCURRED_AT < CURRENT_DATE
    GROUP BY FEED, SOURCE_ID
    HAVING COUNT(*) > 1
) doubled
GROUP BY FEED;
-- 4. 必填项缺失数，应全为 0 (what is missing where it is needed: all zero).
SELECT FEED,
       SUM(CASE WHEN SOURCE_ID IS NULL THEN 1 ELSE 0 END) AS NO_KEY,
       SUM(CASE WHEN SCENE IS NULL THEN 1 ELSE 0 END) AS NO_SCENE,
       SUM(CASE WHEN CARD_TYPE IS NULL THEN 1 ELSE 0 END) AS NO_CARD_TYPE,
       SUM(CASE WHEN CHANNEL IS NULL THEN 1 ELSE 0 END) AS NO_CHANNEL,
       SUM(CASE WHEN FEED = 'registration' AND DEPARTMENT IS NULL THEN 1 ELSE 0 END) AS NO_DEPARTMENT,
       SUM(CASE WHEN ID_NUMBER IS NULL AND QR_CODE_TEXT IS NULL THEN 1 ELSE 0 END) AS NOBODY
FROM V_CARD_USE
WHERE OCCURRED_AT >= CURRENT_DATE - 1
  AND OCCURRED_AT < CURRENT_DATE
GROUP BY FEED
ORDER BY FEED;
-- 5. 在用的院内代码，逐一对照 (local codes in use: each needs a line in the alias files, unless it is a standard code).
SELECT 'card_type' AS CODE_TABLE, CARD_TYPE AS LOCAL_CODE, NULL AS LOCAL_NAME, COUNT(*) AS USES
FROM V_CARD_USE
WHERE OCCURRED_AT >= CURRENT_DATE - 1
  AND OCCURRED_AT < CURRENT_DATE
GROUP BY CARD_TYPE
UNION ALL
SELECT 'channel', CHANNEL, NULL, COUNT(*)
FROM V_CARD_USE
WHERE OCCURRED_AT >= CURRENT_DATE - 1
  AND OCCURRED_AT < CURRENT_DATE
GROUP BY CHANNEL
UNION ALL
SELECT 'department', DEPARTMENT, DEPARTMENT_NAME, COUNT(*)
FROM V_CARD_USE
WHERE OCCURRED_AT >= CURRENT_DATE - 1
  AND OCCURRED_AT < CURRENT_DATE
GROUP BY DEPARTMENT, DEPARTMENT_NAME;
-- 6. 同一健康卡对应多个证件号，应为 0 (health cards of more than one person: zero, or strangers' cards are found).
SELECT COUNT(*) AS CARDS_OF_TWO_PEOPLE
FROM (
    SELECT QR_CODE_TEXT
    FROM V_CARD_USE
    WHERE QR_CODE_TEXT IS NOT NULL
      AND OCCURRED_AT >= CURRENT_DATE - 1
      AND OCCURRED_AT < CURRENT_DATE
    GROUP BY QR_CODE_TEXT
    HAVING COUNT(DISTINCT ID_NUMBER) > 1
) shared;
-- 7. 任何时间窗都取不到的记录，应无结果 (uses whose time no window can hold: no rows; give them their time in the HIS).
SELECT FEED, COUNT(*) AS OUTSIDE_EVERY_WINDOW
FROM V_CARD_USE
WHERE OCCURRED_AT IS NULL OR OCCURRED_AT < '2000-01-01' OR OCCURRED_AT >= '2100-01-01'
GROUP BY FEED;
-- 8. 权限：查询为真，其余为假 (rights: SELECT true, the others false).
SELECT has_table_privilege('v_card_use', 'SELECT') AS CAN_SELECT,
       has_table_privilege('v_card_use', 'INSERT') AS CAN_INSERT,
       has_table_privilege('v_card_use', 'UPDATE') AS CAN_UPDATE,
       has_table_privilege('v_card_use', 'DELETE') AS CAN_DELETE;
