-- key: text
-- Patients (老用户批量升级, document 2.5), for `upgrade`. The contract view V_PATIENT (docs/his-contract.md).
--
-- One line per PATIENT_ID, read in pages: those after :after, in the order of PATIENT_ID, as many as a page holds.
--
-- Reads   V_PATIENT: PATIENT_ID, NAME, GENDER, NATION, BIRTHDAY, ID_TYPE, ID_NUMBER, ADDRESS, PHONE1, PHONE2, OPEN_ID
-- Rights  SELECT on this view, nothing else.
-- Indexes on the table behind V_PATIENT, the column that it gives as PATIENT_ID. No function stands on it.
SELECT v.PATIENT_ID AS source_id,
       v.NAME AS name,
       v.GENDER AS gender,
       v.NATION AS nation,
       v.BIRTHDAY AS birthday,
       v.ID_TYPE AS id_type,
       v.ID_NUMBER AS id_number,
       v.ADDRESS AS address,
       v.PHONE1 AS phone1,
       v.PHONE2 AS phone2,
       v.OPEN_ID AS open_id
FROM V_PATIENT v
WHERE v.PATIENT_ID > CAST(:after AS char(64))
ORDER BY v.PATIENT_ID
