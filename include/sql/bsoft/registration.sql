-- bounds: datetime
-- UNTESTED: written from public descriptions, never run on an Oracle of B-Soft (docs/adr, Oracle).
-- Registration (挂号): registrations on the day 0101012. B-Soft PHIS.
--
-- One line per registration (SBXH) of the window: valid ones (THBZ 0) and returned ones (THBZ 1, or a line in MS_THMX,
-- voided = 1), so that a return after the first reading is seen.
-- GROUP BY leaves one line per registration where MS_THMX or xt_brxx has it twice.
-- To be settled with the hospital: card type and channel stand in no table known to us. NULL quarantines every event
-- until their columns are named here; a constant would report what nobody knows.
--
-- Success MS_GHMX by GHSJ: COALESCE(THBZ, 0) <> 1
-- Reads   MS_GHMX: SBXH, BRID, GHSJ, KSDM, THBZ    MS_THMX: SBXH
--         MS_BRDA: BRID, BRXM, SFZH    GY_KSDM: KSDM, KSMC    xt_brxx: brid, qrCodeText
-- Rights  SELECT on these five, nothing else.
-- Indexes MS_GHMX(GHSJ), MS_THMX(SBXH), MS_BRDA(BRID), xt_brxx(brid). The bounds are dates, start inside, end outside;
--         no function stands on an indexed column.
SELECT CAST(g.SBXH AS varchar(20)) AS source_id,
       g.GHSJ AS occurred_at,
       '0101012' AS scene,
       CAST(g.KSDM AS varchar(20)) AS department,
       k.KSMC AS department_name,
       NULL AS card_type,
       NULL AS channel,
       NULL AS cost_type,
       p.SFZH AS id_number,
       p.BRXM AS name,
       MAX(c.qrCodeText) AS qr_code_text,
       MAX(CASE WHEN g.THBZ = 1 OR t.SBXH IS NOT NULL THEN 1 ELSE 0 END) AS voided
FROM MS_GHMX g
LEFT JOIN MS_THMX t ON t.SBXH = g.SBXH
LEFT JOIN MS_BRDA p ON p.BRID = g.BRID
LEFT JOIN GY_KSDM k ON k.KSDM = g.KSDM
LEFT JOIN xt_brxx c ON c.brid = p.BRID
WHERE g.GHSJ >= :start
  AND g.GHSJ < :end
GROUP BY g.SBXH, g.GHSJ, g.KSDM, k.KSMC, p.SFZH, p.BRXM
ORDER BY occurred_at, source_id
