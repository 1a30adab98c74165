-- bounds: datetime
-- Admission (住院登记) 010109: patients registered for the ward. Trasen.
--
-- One line per stay (INPATIENT_ID) begun in the window (IN_DATE), without newborns (BABY_ID above 0), who use no card.
-- Cancelled ones (FLAG 10) have voided = 1, so that a cancellation after the first reading is seen.
-- GROUP BY leaves one line per stay where xt_brxx knows a patient twice.
-- Trasen's own columns are those of its public forms; xt_brxx (health cards) and the operator as channel are how we
-- read it: a machine, a mini program and a window each have operators of their own, channel.csv names them.
--
-- Success VI_ZY_VINPATIENT_ALL by IN_DATE where BABY_ID = 0: COALESCE(FLAG, 0) <> 10
-- Reads   VI_ZY_VINPATIENT_ALL: INPATIENT_ID, BABY_ID, PATIENT_ID, IN_DATE, IN_DEPT, FLAG, KDJID, DJY
--         YY_BRXX: BRXXID, BRXM, SFZH    YY_KDJB: KDJID, KLX    xt_brxx: brid, qrCodeText
--         JC_DEPT_PROPERTY: DEPT_ID, NAME, dept_hqms_code
-- Rights  SELECT on these five, nothing else.
-- Indexes ZY_INPATIENT(IN_DATE), YY_BRXX(BRXXID), YY_KDJB(KDJID), xt_brxx(brid).
--         The bounds are datetimes, start inside, end outside; no function stands on an indexed column.
SELECT CAST(s.INPATIENT_ID AS varchar(36)) AS source_id,
       s.IN_DATE AS occurred_at,
       '010109' AS scene,
       COALESCE(NULLIF(RTRIM(k.dept_hqms_code), ''), CAST(s.IN_DEPT AS varchar(20))) AS department,
       k.NAME AS department_name,
       CAST(b.KLX AS varchar(20)) AS card_type,
       CAST(s.DJY AS varchar(20)) AS channel,
       NULL AS cost_type,
       p.SFZH AS id_number,
       p.BRXM AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN s.FLAG = 10 THEN 1 ELSE 0 END) AS voided
FROM VI_ZY_VINPATIENT_ALL s
LEFT JOIN YY_BRXX p ON p.BRXXID = s.PATIENT_ID
LEFT JOIN YY_KDJB b ON b.KDJID = s.KDJID
LEFT JOIN JC_DEPT_PROPERTY k ON k.DEPT_ID = s.IN_DEPT
LEFT JOIN xt_brxx c ON c.brid = p.BRXXID
WHERE s.IN_DATE >= :start
  AND s.IN_DATE < :end
  AND s.BABY_ID = 0
GROUP BY s.IN_DATE, s.INPATIENT_ID, s.IN_DEPT, k.dept_hqms_code, k.NAME, b.KLX, s.DJY, p.SFZH, p.BRXM
ORDER BY occurred_at, source_id
