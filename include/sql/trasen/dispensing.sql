-- bounds: datetime
-- Dispensing (取药) 010103: prescriptions handed out at the pharmacy. Trasen.
--
-- One line per prescription (CFID) of drugs (XMLY 1) handed out in the window (FYRQ): brought back (BFYBZ 0) or deleted
-- (BSCBZ 1) ones with voided = 1, so that a return after the first reading is seen.
-- GROUP BY leaves one line per prescription while a row stands both in MZ_CFB and in its history MZ_CFB_H, and where
-- xt_brxx knows a patient twice.
-- Trasen's own columns are those of its public forms; xt_brxx (health cards) and the operator as channel are how we
-- read it: a machine, a mini program and a window each have operators of their own, channel.csv names them.
--
-- Success VI_MZ_CFB by FYRQ where XMLY = 1: COALESCE(BSCBZ, 0) <> 1 AND COALESCE(BFYBZ, 1) <> 0
-- Reads   VI_MZ_CFB (MZ_CFB and MZ_CFB_H): CFID, GHXXID, BRXXID, KSDM, XMLY, BFYBZ, FYRQ, FYR, BSCBZ
--         VI_MZ_GHXX (MZ_GHXX and MZ_GHXX_H): GHXXID, KDJID
--         YY_BRXX: BRXXID, BRXM, SFZH    YY_KDJB: KDJID, KLX    xt_brxx: brid, qrCodeText
--         JC_DEPT_PROPERTY: DEPT_ID, NAME, dept_hqms_code
-- Rights  SELECT on these six, nothing else.
-- Indexes MZ_CFB(FYRQ), MZ_CFB_H(FYRQ), MZ_GHXX(GHXXID), MZ_GHXX_H(GHXXID), YY_BRXX(BRXXID), YY_KDJB(KDJID),
--         xt_brxx(brid). The bounds are datetimes, start inside, end outside; no function stands on an indexed column.
SELECT CAST(f.CFID AS varchar(36)) AS source_id,
       f.FYRQ AS occurred_at,
       '010103' AS scene,
       COALESCE(NULLIF(RTRIM(k.dept_hqms_code), ''), CAST(f.KSDM AS varchar(20))) AS department,
       k.NAME AS department_name,
       CAST(b.KLX AS varchar(20)) AS card_type,
       CAST(f.FYR AS varchar(20)) AS channel,
       NULL AS cost_type,
       p.SFZH AS id_number,
       p.BRXM AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN f.BSCBZ = 1 OR f.BFYBZ = 0 THEN 1 ELSE 0 END) AS voided
FROM VI_MZ_CFB f
LEFT JOIN VI_MZ_GHXX r ON r.GHXXID = f.GHXXID
LEFT JOIN YY_BRXX p ON p.BRXXID = f.BRXXID
LEFT JOIN YY_KDJB b ON b.KDJID = r.KDJID
LEFT JOIN JC_DEPT_PROPERTY k ON k.DEPT_ID = f.KSDM
LEFT JOIN xt_brxx c ON c.brid = p.BRXXID
WHERE f.FYRQ >= :start
  AND f.FYRQ < :end
  AND f.XMLY = 1
GROUP BY f.FYRQ, f.CFID, f.KSDM, k.dept_hqms_code, k.NAME, b.KLX, f.FYR, p.SFZH, p.BRXM
ORDER BY occurred_at, source_id
