-- bounds: datetime
-- UNTESTED: written from public descriptions, never run on an Oracle of Neusoft (docs/adr, Oracle).
-- Registration (挂号): registrations on the day 0101012. Neusoft HIS.
--
-- One line per registration (CLINIC_CODE) of the window: valid ones (VALID_FLAG 1) and returned ones (VALID_FLAG
-- otherwise, voided = 1), so that a return after the first reading is seen. Not read: reversal rows (TRANS_TYPE 2).
-- GROUP BY leaves one line per registration where xt_brxx has a patient twice.
-- A CARD_NO of zeros, blanks or dashes is nobody's: it would find a stranger's health card.
-- To be settled with the hospital: card type and channel stand in no table known to us. NULL quarantines every event
-- until their columns are named here; a constant would report what nobody knows.
--
-- Success FIN_OPR_REGISTER by REG_DATE where TRANS_TYPE = '1': VALID_FLAG = '1'
-- Reads   FIN_OPR_REGISTER: CLINIC_CODE, CARD_NO, NAME, IDENNO, REG_DATE, DEPT_CODE, TRANS_TYPE, VALID_FLAG
--         COM_DEPARTMENT: DEPT_CODE, DEPT_NAME    xt_brxx: brid, qrCodeText
-- Rights  SELECT on these three, nothing else.
-- Indexes FIN_OPR_REGISTER(REG_DATE), xt_brxx(brid). The bounds are dates, start inside, end outside; no function
--         stands on an indexed column.
SELECT r.CLINIC_CODE AS source_id,
       r.REG_DATE AS occurred_at,
       '0101012' AS scene,
       r.DEPT_CODE AS department,
       k.DEPT_NAME AS department_name,
       NULL AS card_type,
       NULL AS channel,
       NULL AS cost_type,
       r.IDENNO AS id_number,
       r.NAME AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN r.VALID_FLAG = '1' THEN 0 ELSE 1 END) AS voided
FROM FIN_OPR_REGISTER r
LEFT JOIN COM_DEPARTMENT k ON k.DEPT_CODE = r.DEPT_CODE
LEFT JOIN xt_brxx c ON c.brid = r.CARD_NO AND LTRIM(r.CARD_NO, '0 -') IS NOT NULL
WHERE r.REG_DATE >= :start
  AND r.REG_DATE < :end
  AND r.TRANS_TYPE = '1'
GROUP BY r.CLINIC_CODE, r.REG_DATE, r.DEPT_CODE, k.DEPT_NAME, r.IDENNO, r.NAME
ORDER BY occurred_at, source_id
