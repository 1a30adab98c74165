-- bounds: char16
-- Admission (住院登记) 010109: patients registered for the ward. Winning THIS4.
--
-- One line per stay (syxh) begun in the window (ryrq): cancelled ones (brzt 9) with voided = 1, so that a cancellation
-- after the first reading is seen. Inpatients have numbers (patid) of their own: their health card is found by sfzh,
-- and only by a resident ID number (18 characters, region, birth date): '', 0 or 无 would find a stranger's card.
-- GROUP BY leaves one line per stay where xt_brxx knows a patient twice.
--
-- Success ZY_BRSYK by ryrq: COALESCE(brzt, 0) <> 9
-- Reads   ZY_BRSYK: syxh, patid, ryrq, ksdm, brzt, cardtype, qdlx, ybdm
--         ZY_BRXXK: patid, hzxm, sfzh    YY_KSBMK: id, name    xt_brxx: sfzh, qrCodeText
-- Rights  SELECT on these four, nothing else.
-- Indexes ZY_BRSYK(ryrq), ZY_BRXXK(patid), xt_brxx(sfzh). The bounds are raw char(16) `yyyymmddhh:mm:ss`, start inside,
--         end outside; no function stands on an indexed column.
SELECT CAST(s.syxh AS varchar(20)) AS source_id,
       s.ryrq AS occurred_at,
       '010109' AS scene,
       s.ksdm AS department,
       k.name AS department_name,
       s.cardtype AS card_type,
       s.qdlx AS channel,
       s.ybdm AS cost_type,
       p.sfzh AS id_number,
       p.hzxm AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN s.brzt = 9 THEN 1 ELSE 0 END) AS voided
FROM ZY_BRSYK s
LEFT JOIN ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN YY_KSBMK k ON k.id = s.ksdm
LEFT JOIN xt_brxx c ON c.sfzh = p.sfzh
    AND RTRIM(p.sfzh) LIKE '__________________'
    AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
    AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
    AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
    AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')
WHERE s.ryrq >= CAST(:start AS char(16))
  AND s.ryrq < CAST(:end AS char(16))
GROUP BY s.ryrq, s.syxh, s.ksdm, k.name, s.cardtype, s.qdlx, s.ybdm, p.sfzh, p.hzxm
ORDER BY occurred_at, source_id
