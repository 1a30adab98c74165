-- bounds: datetime
-- Payment: charges settled 0101051 (门诊缴费), cards topped up 0101055 (门诊充值). Trasen.
--
-- Charges: one line per invoice (FPID) that is no registration's (BGHPBZ 0): valid ones (JLZT 0) and refunded ones
-- (JLZT 1, voided = 1), so that a refund after the first reading is seen. Not read: the negative row of a refund, JLZT 2.
-- Top-ups: one line per deposit (KJEID), its key marked YJ; BZFBZ 1 is voided.
-- GROUP BY leaves one line per invoice while a row stands both in MZ_FPB and in its history MZ_FPB_H, and where xt_brxx
-- knows a patient twice; a refund in either copy counts.
-- Trasen's own columns are those of its public forms; xt_brxx (health cards) and the operator as channel are how we
-- read it: a machine, a mini program and a window each have operators of their own, channel.csv names them.
--
-- Success VI_MZ_FPB by SFRQ where BGHPBZ = 0: JLZT = 0
-- Success YY_KDJB_JE by DJSJ: COALESCE(BZFBZ, 0) <> 1
-- Reads   VI_MZ_FPB (MZ_FPB and MZ_FPB_H): FPID, BRXXID, KDJID, SFRQ, KSDM, YBLX, SFY, BGHPBZ, JLZT
--         YY_KDJB_JE: KJEID, KDJID, DJSJ, DJY, BZFBZ
--         YY_BRXX: BRXXID, BRXM, SFZH    YY_KDJB: KDJID, BRXXID, KLX    xt_brxx: brid, qrCodeText
--         JC_DEPT_PROPERTY: DEPT_ID, NAME, dept_hqms_code
-- Rights  SELECT on these six, nothing else.
-- Indexes MZ_FPB(SFRQ), MZ_FPB_H(SFRQ), YY_KDJB_JE(DJSJ), YY_BRXX(BRXXID), YY_KDJB(KDJID), xt_brxx(brid).
--         The bounds are datetimes, start inside, end outside; no function stands on an indexed column.
SELECT CAST(f.FPID AS varchar(36)) AS source_id,
       f.SFRQ AS occurred_at,
       '0101051' AS scene,
       COALESCE(NULLIF(RTRIM(k.dept_hqms_code), ''), CAST(f.KSDM AS varchar(20))) AS department,
       k.NAME AS department_name,
       CAST(b.KLX AS varchar(20)) AS card_type,
       CAST(f.SFY AS varchar(20)) AS channel,
       CAST(f.YBLX AS varchar(20)) AS cost_type,
       p.SFZH AS id_number,
       p.BRXM AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN f.JLZT = 1 THEN 1 ELSE 0 END) AS voided
FROM VI_MZ_FPB f
LEFT JOIN YY_BRXX p ON p.BRXXID = f.BRXXID
LEFT JOIN YY_KDJB b ON b.KDJID = f.KDJID
LEFT JOIN JC_DEPT_PROPERTY k ON k.DEPT_ID = f.KSDM
LEFT JOIN xt_brxx c ON c.brid = p.BRXXID
WHERE f.SFRQ >= :start
  AND f.SFRQ < :end
  AND f.BGHPBZ = 0
  AND f.JLZT IN (0, 1)
GROUP BY f.SFRQ, f.FPID, f.KSDM, k.dept_hqms_code, k.NAME, b.KLX, f.SFY, f.YBLX, p.SFZH, p.BRXM
UNION ALL
SELECT CAST(REPLACE('YJ*', '*', CAST(d.KJEID AS varchar(36))) AS varchar(38)) AS source_id,
       d.DJSJ AS occurred_at,
       '0101055' AS scene,
       NULL AS department,
       NULL AS department_name,
       CAST(b.KLX AS varchar(20)) AS card_type,
       CAST(d.DJY AS varchar(20)) AS channel,
       NULL AS cost_type,
       p.SFZH AS id_number,
       p.BRXM AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN d.BZFBZ = 1 THEN 1 ELSE 0 END) AS voided
FROM YY_KDJB_JE d
LEFT JOIN YY_KDJB b ON b.KDJID = d.KDJID
LEFT JOIN YY_BRXX p ON p.BRXXID = b.BRXXID
LEFT JOIN xt_brxx c ON c.brid = p.BRXXID
WHERE d.DJSJ >= :start
  AND d.DJSJ < :end
GROUP BY d.DJSJ, d.KJEID, b.KLX, d.DJY, p.SFZH, p.BRXM
ORDER BY occurred_at, source_id
