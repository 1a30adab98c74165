-- bounds: datetime
-- UNTESTED: written from public descriptions, never run on an Oracle of B-Soft (docs/adr, Oracle).
-- Payment: charges settled 0101051 (门诊缴费). B-Soft PHIS.
--
-- One line per settlement (MZXH) of the window: valid ones (ZFPB 0) and voided ones (ZFPB 1, or a line in MS_ZFFP,
-- voided = 1), so that a void after the first reading is seen.
-- GROUP BY leaves one line per settlement where MS_ZFFP or xt_brxx has it twice.
-- To be settled with the hospital: card type and channel stand in no table known to us (NULL quarantines every event
-- until their columns are named here), and so does whether a registration's fee is settled in MS_MZXX too.
--
-- Success MS_MZXX by SFRQ: COALESCE(ZFPB, 0) <> 1
-- Reads   MS_MZXX: MZXH, BRID, SFRQ, ZFPB    MS_ZFFP: MZXH
--         MS_BRDA: BRID, BRXM, SFZH    xt_brxx: brid, qrCodeText
-- Rights  SELECT on these four, nothing else.
-- Indexes MS_MZXX(SFRQ), MS_ZFFP(MZXH), MS_BRDA(BRID), xt_brxx(brid). The bounds are dates, start inside, end outside;
--         no function stands on an indexed column.
SELECT CAST(m.MZXH AS varchar(20)) AS source_id,
       m.SFRQ AS occurred_at,
       '0101051' AS scene,
       NULL AS department,
       NULL AS department_name,
       NULL AS card_type,
       NULL AS channel,
       NULL AS cost_type,
       p.SFZH AS id_number,
       p.BRXM AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN m.ZFPB = 1 OR z.MZXH IS NOT NULL THEN 1 ELSE 0 END) AS voided
FROM MS_MZXX m
LEFT JOIN MS_ZFFP z ON z.MZXH = m.MZXH
LEFT JOIN MS_BRDA p ON p.BRID = m.BRID
LEFT JOIN xt_brxx c ON c.brid = p.BRID
WHERE m.SFRQ >= :start
  AND m.SFRQ < :end
GROUP BY m.MZXH, m.SFRQ, p.SFZH, p.BRXM
ORDER BY occurred_at, source_id
