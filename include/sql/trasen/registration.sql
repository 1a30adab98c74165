-- bounds: datetime
-- Registration (挂号): appointments made 0101011, registrations on the day 0101012. Trasen.
--
-- One line per registration (GHXXID) of the window: valid ones (BQXGHBZ 0) and cancelled ones (BQXGHBZ 1, voided = 1),
-- so that a cancellation after the first reading is seen. YYLX: 0 on the day, anything else an appointment.
-- GROUP BY leaves one line per registration while a row stands both in MZ_GHXX and in its history MZ_GHXX_H, and where
-- xt_brxx knows a patient twice; a cancellation in either copy counts.
-- Trasen's own columns are those of its public forms; xt_brxx (health cards) and the operator as channel are how we
-- read it: a machine, a mini program and a window each have operators of their own, channel.csv names them.
--
-- Success VI_MZ_GHXX by GHSJ: COALESCE(BQXGHBZ, 0) <> 1
-- Reads   VI_MZ_GHXX (MZ_GHXX and MZ_GHXX_H): GHXXID, BRXXID, KDJID, GHSJ, GHKS, YYLX, DJY, BQXGHBZ
--         YY_BRXX: BRXXID, BRXM, SFZH    YY_KDJB: KDJID, KLX    xt_brxx: brid, qrCodeText
--         JC_DEPT_PROPERTY: DEPT_ID, NAME, dept_hqms_code
-- Rights  SELECT on these five, nothing else.
-- Indexes MZ_GHXX(GHSJ), MZ_GHXX_H(GHSJ), YY_BRXX(BRXXID), YY_KDJB(KDJID), xt_brxx(brid).
--         The bounds are datetimes, start inside, end outside; no function stands on an indexed column.
SELECT CAST(g.GHXXID AS varchar(36)) AS source_id,
       g.GHSJ AS occurred_at,
       CASE WHEN g.YYLX <> 0 THEN '0101011' ELSE '0101012' END AS scene,
       COALESCE(NULLIF(RTRIM(k.dept_hqms_code), ''), CAST(g.GHKS AS varchar(20))) AS department,
       k.NAME AS department_name,
       CAST(b.KLX AS varchar(20)) AS card_type,
       CAST(g.DJY AS varchar(20)) AS channel,
       NULL AS cost_type,
       p.SFZH AS id_number,
       p.BRXM AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN g.BQXGHBZ = 1 THEN 1 ELSE 0 END) AS voided
FROM VI_MZ_GHXX g
LEFT JOIN YY_BRXX p ON p.BRXXID = g.BRXXID
LEFT JOIN YY_KDJB b ON b.KDJID = g.KDJID
LEFT JOIN JC_DEPT_PROPERTY k ON k.DEPT_ID = g.GHKS
LEFT JOIN xt_brxx c ON c.brid = p.BRXXID
WHERE g.GHSJ >= :start
  AND g.GHSJ < :end
GROUP BY g.GHSJ, g.GHXXID, g.YYLX, g.GHKS, k.dept_hqms_code, k.NAME, b.KLX, g.DJY, p.SFZH, p.BRXM
ORDER BY occurred_at, source_id
