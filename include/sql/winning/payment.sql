-- bounds: char16
-- Payment: charges settled 0101051 (门诊缴费), prepaid accounts topped up 0101055 (门诊充值). Winning THIS4.
--
-- Charges: one line per settlement (sjh), settled with the insurance (ybjszt 2), charges only (ghsfbz 1: the fee of a
-- registration is the registration's card use). Valid ones (jlzt 0) and refunded ones (jlzt 1, voided = 1), so that a
-- refund after the first reading is seen. Not read: the negative row of a refund (jlzt 2).
-- Top-ups: one line per deposit, its key marked YJ so that it never meets a receipt number.
-- GROUP BY leaves one line per settlement while the nightly job keeps a row both in the current and in the year
-- table, and where xt_brxx knows a patient twice; a refund in either copy counts.
--
-- Success VW_MZBRJSK by sfrq where ghsfbz = 1: ybjszt = 2 AND jlzt = 0
-- Success YY_JZBRYJK by lrrq: jlzt = 0
-- Reads   VW_MZBRJSK (SF_BRJSK and its year tables): sjh, patid, sfrq, sfksdm, ybjszt, jlzt, ghsfbz, cardtype, qdlx, ybdm
--         YY_JZBRYJK: xh, patid, lrrq, jlzt, cardtype, qdlx, ybdm
--         SF_BRXXK: patid, hzxm, sfzh    YY_KSBMK: id, name    xt_brxx: brid, qrCodeText
-- Rights  SELECT on these five, nothing else.
-- Indexes SF_BRJSK(sfrq) and the same on each year table, YY_JZBRYJK(lrrq), SF_BRXXK(patid), xt_brxx(brid). The bounds
--         are raw char(16) `yyyymmddhh:mm:ss`, start inside, end outside; no function stands on an indexed column.
SELECT RTRIM(j.sjh) AS source_id,
       j.sfrq AS occurred_at,
       '0101051' AS scene,
       j.sfksdm AS department,
       k.name AS department_name,
       j.cardtype AS card_type,
       j.qdlx AS channel,
       j.ybdm AS cost_type,
       p.sfzh AS id_number,
       p.hzxm AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN j.jlzt = 1 THEN 1 ELSE 0 END) AS voided
FROM VW_MZBRJSK j
LEFT JOIN SF_BRXXK p ON p.patid = j.patid
LEFT JOIN YY_KSBMK k ON k.id = j.sfksdm
LEFT JOIN xt_brxx c ON c.brid = p.patid
WHERE j.sfrq >= CAST(:start AS char(16))
  AND j.sfrq < CAST(:end AS char(16))
  AND j.ghsfbz = 1
  AND j.ybjszt = 2
  AND j.jlzt IN (0, 1)
GROUP BY j.sfrq, j.sjh, j.sfksdm, k.name, j.cardtype, j.qdlx, j.ybdm, p.sfzh, p.hzxm
UNION ALL
SELECT CAST(REPLACE('YJ*', '*', CAST(d.xh AS varchar(20))) AS varchar(22)) AS source_id,
       d.lrrq AS occurred_at,
       '0101055' AS scene,
       NULL AS department,
       NULL AS department_name,
       d.cardtype AS card_type,
       d.qdlx AS channel,
       d.ybdm AS cost_type,
       p.sfzh AS id_number,
       p.hzxm AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN d.jlzt = 1 THEN 1 ELSE 0 END) AS voided
FROM YY_JZBRYJK d
LEFT JOIN SF_BRXXK p ON p.patid = d.patid
LEFT JOIN xt_brxx c ON c.brid = p.patid
WHERE d.lrrq >= CAST(:start AS char(16))
  AND d.lrrq < CAST(:end AS char(16))
  AND d.jlzt IN (0, 1)
GROUP BY d.lrrq, d.xh, d.cardtype, d.qdlx, d.ybdm, p.sfzh, p.hzxm
ORDER BY occurred_at, source_id
