-- key: integer
-- Patients (老用户批量升级, document 2.5), for `upgrade`: everybody in the master index. Winning THIS4.
--
-- One line per patient (patid), read in pages: those after :after, in the order of patid, as many as a page holds.
-- mzbm (nation by GB/T 3304), lxdz (address), lxdh (telephone) and the side table xt_brwx (patient and openId, as the
-- hospital's service account binds them) are how we read it; where they have other names, put a view of these names.
-- cardtype counts as type of document only where it stands for one; a resident ID is known by its number.
--
-- Reads   SF_BRXXK: patid, hzxm, sex, mzbm, birth, cardtype, sfzh, lxdz, lxdh    xt_brwx: brid, openId
-- Rights  SELECT on these two, nothing else.
-- Indexes SF_BRXXK(patid), xt_brwx(brid). No function stands on an indexed column.
SELECT CAST(p.patid AS varchar(20)) AS source_id,
       p.hzxm AS name,
       p.sex AS gender,
       p.mzbm AS nation,
       p.birth AS birthday,
       p.cardtype AS id_type,
       p.sfzh AS id_number,
       p.lxdz AS address,
       p.lxdh AS phone1,
       NULL AS phone2,
       (SELECT MAX(w.openId) FROM xt_brwx w WHERE w.brid = p.patid) AS open_id
FROM SF_BRXXK p
WHERE p.patid > :after
ORDER BY p.patid
