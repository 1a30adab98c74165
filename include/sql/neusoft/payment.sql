-- bounds: datetime
-- UNTESTED: written from public descriptions, never run on an Oracle of Neusoft (docs/adr, Oracle).
-- Payment: charges settled 0101051 (门诊缴费). Neusoft HIS.
--
-- One line per invoice (INVOICE_NO) of the window: valid ones (CANCEL_FLAG 1) and cancelled ones (CANCEL_FLAG
-- otherwise, voided = 1), so that a refund after the first reading is seen. Not read: reversal rows (TRANS_TYPE 2).
-- GROUP BY leaves one line per invoice where xt_brxx has a patient twice.
-- A CARD_NO of zeros, blanks or dashes is nobody's: it would find a stranger's health card.
-- To be settled with the hospital: card type and channel stand in no table known to us (NULL quarantines every event
-- until their columns are named here), and so does what a reprint leaves behind: it must not look like a second charge.
--
-- Success FIN_OPB_INVOICEINFO by OPER_DATE where TRANS_TYPE = '1': CANCEL_FLAG = '1'
-- Reads   FIN_OPB_INVOICEINFO: INVOICE_NO, CLINIC_CODE, OPER_DATE, TRANS_TYPE, CANCEL_FLAG
--         FIN_OPR_REGISTER: CLINIC_CODE, CARD_NO, NAME, IDENNO, TRANS_TYPE    xt_brxx: brid, qrCodeText
-- Rights  SELECT on these three, nothing else.
-- Indexes FIN_OPB_INVOICEINFO(OPER_DATE), FIN_OPR_REGISTER(CLINIC_CODE), xt_brxx(brid). The bounds are dates, start
--         inside, end outside; no function stands on an indexed column.
SELECT i.INVOICE_NO AS source_id,
       i.OPER_DATE AS occurred_at,
       '0101051' AS scene,
       NULL AS department,
       NULL AS department_name,
       NULL AS card_type,
       NULL AS channel,
       NULL AS cost_type,
       MAX(r.IDENNO) AS id_number,
       MAX(r.NAME) AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN i.CANCEL_FLAG = '1' THEN 0 ELSE 1 END) AS voided
FROM FIN_OPB_INVOICEINFO i
LEFT JOIN FIN_OPR_REGISTER r ON r.CLINIC_CODE = i.CLINIC_CODE AND r.TRANS_TYPE = '1'
LEFT JOIN xt_brxx c ON c.brid = r.CARD_NO AND LTRIM(r.CARD_NO, '0 -') IS NOT NULL
WHERE i.OPER_DATE >= :start
  AND i.OPER_DATE < :end
  AND i.TRANS_TYPE = '1'
GROUP BY i.INVOICE_NO, i.OPER_DATE
ORDER BY occurred_at, source_id
