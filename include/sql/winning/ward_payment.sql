-- bounds: char16
-- Payment of inpatients: stays settled 0101053 (住院缴费), deposits paid in 0101056 (住院充值). Winning THIS4.
--
-- Settlements: one line per settlement (xh) settled with the insurance (ybjszt 2), at its time (jsrq). Deposits: one
-- line per deposit (czlb 0, jje above 0), its key marked YJ so that it never meets a settlement's; what a settlement
-- itself takes in or pays out (czlb 2, 3) is that settlement's card use. Valid ones (jlzt 0) and reversed ones (voided
-- = 1), so that a reversal after the first reading is seen. Not read: the negative row of a reversal.
-- The operator (jsczyh, czyh) stands for the channel: machines, mini programs and windows each have operators of their
-- own, channel.csv names them. The card is the one of the admission.
-- Inpatients have numbers (patid) of their own: their health card is found by sfzh, and only by a resident ID number.
-- GROUP BY leaves one line where xt_brxx knows a patient twice.
-- Columns and states are those of public code for THIS4: let the hospital confirm czlb and jlzt before the first day.
--
-- Success ZY_BRJSK by jsrq: ybjszt = 2 AND zje >= 0 AND jlzt = 0
-- Success ZYB_BRYJK by lrrq where czlb = 0: jje > 0 AND jlzt = 0
-- Reads   ZY_BRJSK: xh, syxh, jsrq, zje, ybjszt, jlzt, jsczyh    ZYB_BRYJK: xh, syxh, lrrq, jje, czlb, jlzt, czyh
--         ZY_BRSYK: syxh, patid, ksdm, cardtype, ybdm    ZY_BRXXK: patid, hzxm, sfzh
--         YY_KSBMK: id, name    xt_brxx: sfzh, qrCodeText
-- Rights  SELECT on these six, nothing else.
-- Indexes ZY_BRJSK(jsrq), ZYB_BRYJK(lrrq), ZY_BRSYK(syxh), ZY_BRXXK(patid), xt_brxx(sfzh). The bounds are raw char(16)
--         `yyyymmddhh:mm:ss`, start inside, end outside; no function stands on an indexed column.
SELECT CAST(j.xh AS varchar(22)) AS source_id,
       j.jsrq AS occurred_at,
       '0101053' AS scene,
       s.ksdm AS department,
       k.name AS department_name,
       s.cardtype AS card_type,
       CAST(j.jsczyh AS varchar(20)) AS channel,
       s.ybdm AS cost_type,
       p.sfzh AS id_number,
       p.hzxm AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN j.jlzt = 0 THEN 0 ELSE 1 END) AS voided
FROM ZY_BRJSK j
LEFT JOIN ZY_BRSYK s ON s.syxh = j.syxh
LEFT JOIN ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN YY_KSBMK k ON k.id = s.ksdm
LEFT JOIN xt_brxx c ON c.sfzh = p.sfzh
    AND RTRIM(p.sfzh) LIKE '__________________'
    AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
    AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
    AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
    AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')
WHERE j.jsrq >= CAST(:start AS char(16))
  AND j.jsrq < CAST(:end AS char(16))
  AND j.ybjszt = 2
  AND j.zje >= 0
GROUP BY j.jsrq, j.xh, s.ksdm, k.name, s.cardtype, j.jsczyh, s.ybdm, p.sfzh, p.hzxm
UNION ALL
SELECT CAST(REPLACE('YJ*', '*', CAST(d.xh AS varchar(20))) AS varchar(22)) AS source_id,
       d.lrrq AS occurred_at,
       '0101056' AS scene,
       s.ksdm AS department,
       k.name AS department_name,
       s.cardtype AS card_type,
       CAST(d.czyh AS varchar(20)) AS channel,
       s.ybdm AS cost_type,
       p.sfzh AS id_number,
       p.hzxm AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN d.jlzt = 0 THEN 0 ELSE 1 END) AS voided
FROM ZYB_BRYJK d
LEFT JOIN ZY_BRSYK s ON s.syxh = d.syxh
LEFT JOIN ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN YY_KSBMK k ON k.id = s.ksdm
LEFT JOIN xt_brxx c ON c.sfzh = p.sfzh
    AND RTRIM(p.sfzh) LIKE '__________________'
    AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
    AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
    AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
    AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')
WHERE d.lrrq >= CAST(:start AS char(16))
  AND d.lrrq < CAST(:end AS char(16))
  AND d.czlb = 0
  AND d.jje > 0
GROUP BY d.lrrq, d.xh, s.ksdm, k.name, s.cardtype, d.czyh, s.ybdm, p.sfzh, p.hzxm
ORDER BY occurred_at, source_id
