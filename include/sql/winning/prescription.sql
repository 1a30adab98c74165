-- bounds: char16
-- Prescriptions (开方) 010106: prescriptions for drugs that a doctor wrote. Winning THIS4.
--
-- One line per prescription (xh) of drugs (cflx 1 western, 2 Chinese patent, 3 herbal) written in the window (lrrq),
-- paid for or not: valid ones, and cancelled ones (jlzt 2, 4) with voided = 1, so that a cancellation after the first
-- reading is seen. The operator (czyh) stands for the channel: doctors, machines and windows each have operators of
-- their own, channel.csv names them. The card is the patient's.
-- GROUP BY leaves one line per prescription while the nightly job keeps a row both in the current and in the year
-- table, and where xt_brxx knows a patient twice; a cancellation in either copy counts.
-- Columns and states are those of public code for THIS4: let the hospital confirm cflx and jlzt before the first day.
--
-- Success VW_MZHJCFK by lrrq where cflx IN (1, 2, 3): COALESCE(jlzt, 0) NOT IN (2, 4)
-- Reads   VW_MZHJCFK (SF_HJCFK and SF_NHJCFK): xh, patid, lrrq, ksdm, czyh, cflx, jlzt
--         SF_BRXXK: patid, hzxm, sfzh, cardtype    YY_KSBMK: id, name    xt_brxx: brid, qrCodeText
-- Rights  SELECT on these four, nothing else.
-- Indexes SF_HJCFK(lrrq), SF_NHJCFK(lrrq), SF_BRXXK(patid), xt_brxx(brid). The bounds are raw char(16)
--         `yyyymmddhh:mm:ss`, start inside, end outside; no function stands on an indexed column.
SELECT CAST(f.xh AS varchar(20)) AS source_id,
       f.lrrq AS occurred_at,
       '010106' AS scene,
       f.ksdm AS department,
       k.name AS department_name,
       p.cardtype AS card_type,
       CAST(f.czyh AS varchar(20)) AS channel,
       NULL AS cost_type,
       p.sfzh AS id_number,
       p.hzxm AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN f.jlzt IN (2, 4) THEN 1 ELSE 0 END) AS voided
FROM VW_MZHJCFK f
LEFT JOIN SF_BRXXK p ON p.patid = f.patid
LEFT JOIN YY_KSBMK k ON k.id = f.ksdm
LEFT JOIN xt_brxx c ON c.brid = p.patid
WHERE f.lrrq >= CAST(:start AS char(16))
  AND f.lrrq < CAST(:end AS char(16))
  AND f.cflx IN (1, 2, 3)
GROUP BY f.lrrq, f.xh, f.ksdm, k.name, p.cardtype, f.czyh, p.sfzh, p.hzxm
ORDER BY occurred_at, source_id
