-- bounds: char16
-- Registration (挂号): appointments made 0101011, registrations on the day 0101012, numbers taken 0101015. Winning THIS4.
--
-- One line per registration (xh) of the window: valid ones (jlzt 0) and returned ones (jlzt 1, voided = 1), so that a
-- return after the first reading is seen. Not read: reversal rows (jlzt 2) and pre-registrations (jlzt 8).
-- ghfs: 0 on the day, 1 appointment, 2 the number of an earlier appointment is taken.
-- GROUP BY leaves one line per registration while the nightly job keeps a row both in the current and in the year
-- table, and where xt_brxx knows a patient twice; a return in either copy counts.
--
-- Success VW_GHZDK by ghrq: jlzt = 0
-- Reads   VW_GHZDK (GH_GHZDK and its year tables): xh, patid, ghrq, ksdm, ghfs, jlzt, cardtype, qdlx, ybdm
--         SF_BRXXK: patid, hzxm, sfzh    YY_KSBMK: id, name    xt_brxx: brid, qrCodeText
-- Rights  SELECT on these four, nothing else.
-- Indexes GH_GHZDK(ghrq) and the same on each year table, SF_BRXXK(patid), xt_brxx(brid). The bounds are raw char(16)
--         `yyyymmddhh:mm:ss`, start inside, end outside; no function stands on an indexed column.
SELECT CAST(g.xh AS varchar(20)) AS source_id,
       g.ghrq AS occurred_at,
       CASE g.ghfs WHEN 1 THEN '0101011' WHEN 2 THEN '0101015' ELSE '0101012' END AS scene,
       g.ksdm AS department,
       k.name AS department_name,
       g.cardtype AS card_type,
       g.qdlx AS channel,
       g.ybdm AS cost_type,
       p.sfzh AS id_number,
       p.hzxm AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN g.jlzt = 1 THEN 1 ELSE 0 END) AS voided
FROM VW_GHZDK g
LEFT JOIN SF_BRXXK p ON p.patid = g.patid
LEFT JOIN YY_KSBMK k ON k.id = g.ksdm
LEFT JOIN xt_brxx c ON c.brid = p.patid
WHERE g.ghrq >= CAST(:start AS char(16))
  AND g.ghrq < CAST(:end AS char(16))
  AND g.jlzt IN (0, 1)
GROUP BY g.ghrq, g.xh, g.ghfs, g.ksdm, k.name, g.cardtype, g.qdlx, g.ybdm, p.sfzh, p.hzxm
ORDER BY occurred_at, source_id
