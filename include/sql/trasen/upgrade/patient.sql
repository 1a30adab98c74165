-- key: guid
-- Patients (老用户批量升级, document 2.5), for `upgrade`: everybody in the master index. Trasen.
--
-- One line per patient (BRXXID), read in pages: those after :after, in the order of BRXXID, as many as a page holds.
-- BRXXID is a GUID, which the database orders in its own way; only that order is used. Trasen's own columns are BRXXID,
-- BRXM and SFZH; XB (sex), MZ (nation), CSRQ (birth date), JTDZ (address), LXDH (telephone) and the side table xt_brwx
-- (patient and openId) are how we read it; where they have other names, put a view of these names.
--
-- Reads   YY_BRXX: BRXXID, BRXM, SFZH, XB, MZ, CSRQ, JTDZ, LXDH    xt_brwx: brid, openId
-- Rights  SELECT on these two, nothing else.
-- Indexes YY_BRXX(BRXXID), xt_brwx(brid). No function stands on an indexed column.
SELECT CAST(p.BRXXID AS varchar(36)) AS source_id,
       p.BRXM AS name,
       p.XB AS gender,
       p.MZ AS nation,
       p.CSRQ AS birthday,
       NULL AS id_type,
       p.SFZH AS id_number,
       p.JTDZ AS address,
       p.LXDH AS phone1,
       NULL AS phone2,
       (SELECT MAX(w.openId) FROM xt_brwx w WHERE w.brid = p.BRXXID) AS open_id
FROM YY_BRXX p
WHERE p.BRXXID > :after
ORDER BY p.BRXXID
