-- bounds: char16
-- Laboratory reports taken (取检验报告) 0101082. Winning THIS4.
--
-- One line per report (repno) that a patient took in the window (pubtime: when it was handed out at a window or a
-- machine, or opened on the phone). Valid ones (jlzt 0) and recalled ones (jlzt 1, voided = 1), so that a recall after
-- the first reading is seen. replb: JC examination (检查), JY laboratory (检验).
-- GROUP BY leaves one line per report where xt_brxx knows a patient twice.
--
-- Success VW_YJ_REPORT by pubtime where replb = 'JY': jlzt = 0
-- Reads   VW_YJ_REPORT: repno, replb, patid, sqksdm, pubtime, jlzt, cardtype, qdlx, ybdm
--         SF_BRXXK: patid, hzxm, sfzh    YY_KSBMK: id, name    xt_brxx: brid, qrCodeText
-- Rights  SELECT on these four, nothing else.
-- Indexes pubtime on the tables behind VW_YJ_REPORT, SF_BRXXK(patid), xt_brxx(brid). The bounds are raw char(16)
--         `yyyymmddhh:mm:ss`, start inside, end outside; no function stands on an indexed column.
SELECT RTRIM(r.repno) AS source_id,
       r.pubtime AS occurred_at,
       '0101082' AS scene,
       r.sqksdm AS department,
       k.name AS department_name,
       r.cardtype AS card_type,
       r.qdlx AS channel,
       r.ybdm AS cost_type,
       p.sfzh AS id_number,
       p.hzxm AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN r.jlzt = 1 THEN 1 ELSE 0 END) AS voided
FROM VW_YJ_REPORT r
LEFT JOIN SF_BRXXK p ON p.patid = r.patid
LEFT JOIN YY_KSBMK k ON k.id = r.sqksdm
LEFT JOIN xt_brxx c ON c.brid = p.patid
WHERE r.pubtime >= CAST(:start AS char(16))
  AND r.pubtime < CAST(:end AS char(16))
  AND r.replb = 'JY'
  AND r.jlzt IN (0, 1)
GROUP BY r.pubtime, r.repno, r.sqksdm, k.name, r.cardtype, r.qdlx, r.ybdm, p.sfzh, p.hzxm
ORDER BY occurred_at, source_id
