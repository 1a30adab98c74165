-- bounds: char16
-- Dispensing (取药) 010103: prescriptions handed out at the pharmacy. Winning THIS4.
--
-- One line per prescription (xh) handed out (fybz 1) in the window: valid ones (jlzt 0) and those brought back (jlzt 1,
-- voided = 1), so that a return after the first reading is seen. Not read: reversal rows (jlzt 2), waiting ones (fybz 0).
-- GROUP BY leaves one line per prescription while the nightly job keeps a row both in the current and in the year
-- table, and where xt_brxx knows a patient twice; a return in either copy counts.
--
-- Success VW_MZCFK by fyrq: fybz = 1 AND jlzt = 0
-- Reads   VW_MZCFK (SF_MZCFK and SF_NMZCFK): xh, patid, ksdm, fybz, fyrq, jlzt, cardtype, qdlx, ybdm
--         SF_BRXXK: patid, hzxm, sfzh    YY_KSBMK: id, name    xt_brxx: brid, qrCodeText
-- Rights  SELECT on these four, nothing else.
-- Indexes SF_MZCFK(fyrq), SF_NMZCFK(fyrq), SF_BRXXK(patid), xt_brxx(brid). The bounds are raw char(16)
--         `yyyymmddhh:mm:ss`, start inside, end outside; no function stands on an indexed column.
SELECT CAST(f.xh AS varchar(20)) AS source_id,
       f.fyrq AS occurred_at,
       '010103' AS scene,
       f.ksdm AS department,
       k.name AS department_name,
       f.cardtype AS card_type,
       f.qdlx AS channel,
       f.ybdm AS cost_type,
       p.sfzh AS id_number,
       p.hzxm AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN f.jlzt = 1 THEN 1 ELSE 0 END) AS voided
FROM VW_MZCFK f
LEFT JOIN SF_BRXXK p ON p.patid = f.patid
LEFT JOIN YY_KSBMK k ON k.id = f.ksdm
LEFT JOIN xt_brxx c ON c.brid = p.patid
WHERE f.fyrq >= CAST(:start AS char(16))
  AND f.fyrq < CAST(:end AS char(16))
  AND f.fybz = 1
  AND f.jlzt IN (0, 1)
GROUP BY f.fyrq, f.xh, f.ksdm, k.name, f.cardtype, f.qdlx, f.ybdm, p.sfzh, p.hzxm
ORDER BY occurred_at, source_id
