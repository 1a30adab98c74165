-- 标准视图 V_CARD_USE（示例，按本院表改写） / The contract view, as a worked example: put your own tables in.
-- MySQL 8.0.29 or later, MariaDB 10.3 or later; may be run again.
--
-- 由院方 DBA 在 HIS 库中执行 (run in the HIS database, on the primary). docs/his-contract.md says what each column means, the
-- head of ../sqlserver/view.sql the rules of a branch. The tables of the example are named after Winning THIS4, with
-- DATETIME columns in Beijing time: shape = "card_use_view". A TIMESTAMP changes with the session that reads it: its
-- session must be set to +08:00. Text times (char(16), yyyymmddhh:mm:ss) are handed on as they are and read with
-- shape = "card_use_view_char16".
-- MySQL before 8.0.29 reads all tables behind a UNION for each query (MySQL 8.0.29 之前每次查询都会扫描全部表): there put
-- the SELECT of each branch into the SQL file of a shape of your own, include/sql/<shape>/<feed>.sql.
-- 年度表、历史表必须并入: what is moved to year or history tables stays in the view (VW_GHZDK and the like are views over both).
USE this4;  -- 改为 HIS 库名 / put the name of the HIS database here.
CREATE OR REPLACE VIEW V_CARD_USE AS
SELECT 'registration' AS FEED,
       CAST(g.xh AS char(64)) AS SOURCE_ID,
       g.ghrq AS OCCURRED_AT,
       CASE g.ghfs WHEN 1 THEN '0101011' WHEN 2 THEN '0101015' ELSE '0101012' END AS SCENE,
       CAST(g.ksdm AS char(32)) AS DEPARTMENT,
       CAST(k.name AS char(64)) AS DEPARTMENT_NAME,
       CAST(g.cardtype AS char(16)) AS CARD_TYPE,
       CAST(g.qdlx AS char(16)) AS CHANNEL,
       CAST(g.ybdm AS char(16)) AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN g.jlzt = 1 THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM VW_GHZDK g
LEFT JOIN SF_BRXXK p ON p.patid = g.patid
LEFT JOIN YY_KSBMK k ON k.id = g.ksdm
WHERE g.jlzt IN (0, 1)
UNION ALL
SELECT 'prescription' AS FEED,
       CAST(f.xh AS char(64)) AS SOURCE_ID,
       f.lrrq AS OCCURRED_AT,
       '010106' AS SCENE,
       CAST(f.ksdm AS char(32)) AS DEPARTMENT,
       CAST(k.name AS char(64)) AS DEPARTMENT_NAME,
       CAST(p.cardtype AS char(16)) AS CARD_TYPE,
       CAST(f.czyh AS char(16)) AS CHANNEL,
       NULL AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN f.jlzt IN (2, 4) THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM VW_MZHJCFK f
LEFT JOIN SF_BRXXK p ON p.patid = f.patid
LEFT JOIN YY_KSBMK k ON k.id = f.ksdm
WHERE f.cflx IN (1, 2, 3)
UNION ALL
SELECT 'dispensing' AS FEED,
       CAST(f.xh AS char(64)) AS SOURCE_ID,
       f.fyrq AS OCCURRED_AT,
       '010103' AS SCENE,
       CAST(f.ksdm AS char(32)) AS DEPARTMENT,
       CAST(k.name AS char(64)) AS DEPARTMENT_NAME,
       CAST(f.cardtype AS char(16)) AS CARD_TYPE,
       CAST(f.qdlx AS char(16)) AS CHANNEL,
       CAST(f.ybdm AS char(16)) AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN f.jlzt = 1 THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM VW_MZCFK f
LEFT JOIN SF_BRXXK p ON p.patid = f.patid
LEFT JOIN YY_KSBMK k ON k.id = f.ksdm
WHERE f.fybz = 1
  AND f.jlzt IN (0, 1)
UNION ALL
SELECT 'payment' AS FEED,
       CAST(RTRIM(j.sjh) AS char(64)) AS SOURCE_ID,
       j.sfrq AS OCCURRED_AT,
       '0101051' AS SCENE,
       CAST(j.sfksdm AS char(32)) AS DEPARTMENT,
       CAST(k.name AS char(64)) AS DEPARTMENT_NAME,
       CAST(j.cardtype AS char(16)) AS CARD_TYPE,
       CAST(j.qdlx AS char(16)) AS CHANNEL,
       CAST(j.ybdm AS char(16)) AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN j.jlzt = 1 THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM VW_MZBRJSK j
LEFT JOIN SF_BRXXK p ON p.patid = j.patid
LEFT JOIN YY_KSBMK k ON k.id = j.sfksdm
WHERE j.ghsfbz = 1
  AND j.ybjszt = 2
  AND j.jlzt IN (0, 1)
UNION ALL
SELECT 'payment' AS FEED,
       CAST(CONCAT('YJ', d.xh) AS char(64)) AS SOURCE_ID,
       d.lrrq AS OCCURRED_AT,
       '0101055' AS SCENE,
       NULL AS DEPARTMENT,
       NULL AS DEPARTMENT_NAME,
       CAST(d.cardtype AS char(16)) AS CARD_TYPE,
       CAST(d.qdlx AS char(16)) AS CHANNEL,
       CAST(d.ybdm AS char(16)) AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN d.jlzt = 1 THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM YY_JZBRYJK d
LEFT JOIN SF_BRXXK p ON p.patid = d.patid
WHERE d.jlzt IN (0, 1)
UNION ALL
SELECT 'ward_payment' AS FEED,
       CAST(j.xh AS char(64)) AS SOURCE_ID,
       j.jsrq AS OCCURRED_AT,
       '0101053' AS SCENE,
       CAST(s.ksdm AS char(32)) AS DEPARTMENT,
       CAST(k.name AS char(64)) AS DEPARTMENT_NAME,
       CAST(s.cardtype AS char(16)) AS CARD_TYPE,
       CAST(j.jsczyh AS char(16)) AS CHANNEL,
       CAST(s.ybdm AS char(16)) AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.sfzh = p.sfzh
          AND RTRIM(p.sfzh) LIKE '__________________'
          AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
          AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
          AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
          AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN j.jlzt <> 0 THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM ZY_BRJSK j
LEFT JOIN ZY_BRSYK s ON s.syxh = j.syxh
LEFT JOIN ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN YY_KSBMK k ON k.id = s.ksdm
WHERE j.ybjszt = 2
  AND j.zje >= 0
UNION ALL
SELECT 'ward_payment' AS FEED,
       CAST(CONCAT('YJ', d.xh) AS char(64)) AS SOURCE_ID,
       d.lrrq AS OCCURRED_AT,
       '0101056' AS SCENE,
       CAST(s.ksdm AS char(32)) AS DEPARTMENT,
       CAST(k.name AS char(64)) AS DEPARTMENT_NAME,
       CAST(s.cardtype AS char(16)) AS CARD_TYPE,
       CAST(d.czyh AS char(16)) AS CHANNEL,
       CAST(s.ybdm AS char(16)) AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.sfzh = p.sfzh
          AND RTRIM(p.sfzh) LIKE '__________________'
          AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
          AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
          AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
          AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN d.jlzt <> 0 THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM ZYB_BRYJK d
LEFT JOIN ZY_BRSYK s ON s.syxh = d.syxh
LEFT JOIN ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN YY_KSBMK k ON k.id = s.ksdm
WHERE d.czlb = 0
  AND d.jje > 0
UNION ALL
SELECT 'examination' AS FEED,
       CAST(RTRIM(r.repno) AS char(64)) AS SOURCE_ID,
       r.pubtime AS OCCURRED_AT,
       '0101081' AS SCENE,
       CAST(r.sqksdm AS char(32)) AS DEPARTMENT,
       CAST(k.name AS char(64)) AS DEPARTMENT_NAME,
       CAST(r.cardtype AS char(16)) AS CARD_TYPE,
       CAST(r.qdlx AS char(16)) AS CHANNEL,
       CAST(r.ybdm AS char(16)) AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN r.jlzt = 1 THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM VW_YJ_REPORT r
LEFT JOIN SF_BRXXK p ON p.patid = r.patid
LEFT JOIN YY_KSBMK k ON k.id = r.sqksdm
WHERE r.replb = 'JC'
  AND r.jlzt IN (0, 1)
UNION ALL
SELECT 'laboratory' AS FEED,
       CAST(RTRIM(r.repno) AS char(64)) AS SOURCE_ID,
       r.pubtime AS OCCURRED_AT,
       '0101082' AS SCENE,
       CAST(r.sqksdm AS char(32)) AS DEPARTMENT,
       CAST(k.name AS char(64)) AS DEPARTMENT_NAME,
       CAST(r.cardtype AS char(16)) AS CARD_TYPE,
       CAST(r.qdlx AS char(16)) AS CHANNEL,
       CAST(r.ybdm AS char(16)) AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN r.jlzt = 1 THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM VW_YJ_REPORT r
LEFT JOIN SF_BRXXK p ON p.patid = r.patid
LEFT JOIN YY_KSBMK k ON k.id = r.sqksdm
WHERE r.replb = 'JY'
  AND r.jlzt IN (0, 1)
UNION ALL
SELECT 'admission' AS FEED,
       CAST(s.syxh AS char(64)) AS SOURCE_ID,
       s.ryrq AS OCCURRED_AT,
       '010109' AS SCENE,
       CAST(s.ksdm AS char(32)) AS DEPARTMENT,
       CAST(k.name AS char(64)) AS DEPARTMENT_NAME,
       CAST(s.cardtype AS char(16)) AS CARD_TYPE,
       CAST(s.qdlx AS char(16)) AS CHANNEL,
       CAST(s.ybdm AS char(16)) AS COST_TYPE,
       CAST(p.sfzh AS char(32)) AS ID_NUMBER,
       CAST(p.hzxm AS char(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.sfzh = p.sfzh
          AND RTRIM(p.sfzh) LIKE '__________________'
          AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
          AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
          AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
          AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')) AS char(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN s.brzt = 9 THEN 1 ELSE 0 END AS signed) AS VOIDED
FROM ZY_BRSYK s
LEFT JOIN ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN YY_KSBMK k ON k.id = s.ksdm;
