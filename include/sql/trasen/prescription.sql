-- bounds: datetime
-- Prescriptions (开方): scene 010106. Trasen.
--
-- One line per SOURCE_ID; refunds and cancellations stay in the view with VOIDED 1, so that one that comes after the
-- first reading is seen. GROUP BY leaves one line where the view has the same one twice.
-- Which of Trasen's columns holds the time of writing is not known here. The DBA puts them into the contract view,
-- docs/his-contract.md, with branches for the feeds that are read from it only.
--
-- Success V_CARD_USE by OCCURRED_AT where FEED = 'prescription': COALESCE(VOIDED, 0) = 0
-- Reads   V_CARD_USE: FEED, SOURCE_ID, OCCURRED_AT, SCENE, DEPARTMENT, DEPARTMENT_NAME, CARD_TYPE, CHANNEL
--         V_CARD_USE: COST_TYPE, ID_NUMBER, NAME, QR_CODE_TEXT, VOIDED
-- Rights  SELECT on this view, nothing else (dba/<database>/login.sql).
-- Indexes on the tables behind V_CARD_USE, the column that it gives as OCCURRED_AT. The bounds are datetimes, start
--         inside, end outside; no function stands on a column, and FEED is a constant in each branch of the view.
SELECT v.SOURCE_ID AS source_id,
       v.OCCURRED_AT AS occurred_at,
       v.SCENE AS scene,
       v.DEPARTMENT AS department,
       v.DEPARTMENT_NAME AS department_name,
       v.CARD_TYPE AS card_type,
       v.CHANNEL AS channel,
       v.COST_TYPE AS cost_type,
       v.ID_NUMBER AS id_number,
       v.NAME AS name,
       v.QR_CODE_TEXT AS qr_code_text,
       MAX(CASE WHEN v.VOIDED = 1 THEN 1 ELSE 0 END) AS voided
FROM V_CARD_USE v
WHERE v.FEED = 'prescription'
  AND v.OCCURRED_AT >= :start
  AND v.OCCURRED_AT < :end
GROUP BY v.SOURCE_ID, v.OCCURRED_AT, v.SCENE, v.DEPARTMENT, v.DEPARTMENT_NAME, v.CARD_TYPE,
         v.CHANNEL, v.COST_TYPE, v.ID_NUMBER, v.NAME, v.QR_CODE_TEXT
ORDER BY occurred_at, source_id
