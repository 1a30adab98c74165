-- 标准视图 V_CARD_USE（示例，按本院表改写） / The contract view, as a worked example: put your own tables in.
-- PostgreSQL 10 or later; may be run again.
--
-- 由院方 DBA 在 HIS 库中执行 (run in the HIS database, on the primary). docs/his-contract.md says what each column means, the
-- head of ../sqlserver/view.sql the rules of a branch. The tables of the example are named after Winning THIS4, with
-- timestamp columns in Beijing time: shape = "card_use_view". A timestamptz changes with the session that reads it: its
-- session must be set to Asia/Shanghai. Text times (char(16), yyyymmddhh:mm:ss) are handed on as they are and read with
-- shape = "card_use_view_char16"; their indexes need a column of type char(16), not varchar.
-- 年度表、历史表、分区必须并入: what is moved to year or history tables stays in the view (VW_GHZDK and the like cover both).
DO $$
BEGIN
    IF current_database() IN ('postgres', 'template1') THEN
        RAISE EXCEPTION 'connect to the HIS database first: nothing was done';
    END IF;
END
$$;
CREATE OR REPLACE VIEW V_CARD_USE AS
SELECT CAST('registration' AS varchar(16)) AS FEED,
       CAST(g.xh AS varchar(64)) AS SOURCE_ID,
       g.ghrq AS OCCURRED_AT,
       CAST(CASE g.ghfs WHEN 1 THEN '0101011' WHEN 2 THEN '0101015' ELSE '0101012' END AS varchar(16)) AS SCENE,
       CAST(g.ksdm AS varchar(32)) AS DEPARTMENT,
       CAST(k.name AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(g.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(g.qdlx AS varchar(16)) AS CHANNEL,
       CAST(g.ybdm AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN g.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM VW_GHZDK g
LEFT JOIN SF_BRXXK p ON p.patid = g.patid
LEFT JOIN YY_KSBMK k ON k.id = g.ksdm
WHERE g.jlzt IN (0, 1)
UNION ALL
SELECT CAST('prescription' AS varchar(16)) AS FEED,
       CAST(f.xh AS varchar(64)) AS SOURCE_ID,
       f.lrrq AS OCCURRED_AT,
       CAST('010106' AS varchar(16)) AS SCENE,
       CAST(f.ksdm AS varchar(32)) AS DEPARTMENT,
       CAST(k.name AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(p.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(f.czyh AS varchar(16)) AS CHANNEL,
       CAST(NULL AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN f.jlzt IN (2, 4) THEN 1 ELSE 0 END AS int) AS VOIDED
FROM VW_MZHJCFK f
LEFT JOIN SF_BRXXK p ON p.patid = f.patid
LEFT JOIN YY_KSBMK k ON k.id = f.ksdm
WHERE f.cflx IN (1, 2, 3)
UNION ALL
SELECT CAST('dispensing' AS varchar(16)) AS FEED,
       CAST(f.xh AS varchar(64)) AS SOURCE_ID,
       f.fyrq AS OCCURRED_AT,
       CAST('010103' AS varchar(16)) AS SCENE,
       CAST(f.ksdm AS varchar(32)) AS DEPARTMENT,
       CAST(k.name AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(f.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(f.qdlx AS varchar(16)) AS CHANNEL,
       CAST(f.ybdm AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN f.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM VW_MZCFK f
LEFT JOIN SF_BRXXK p ON p.patid = f.patid
LEFT JOIN YY_KSBMK k ON k.id = f.ksdm
WHERE f.fybz = 1
  AND f.jlzt IN (0, 1)
UNION ALL
SELECT CAST('payment' AS varchar(16)) AS FEED,
       CAST(RTRIM(j.sjh) AS varchar(64)) AS SOURCE_ID,
       j.sfrq AS OCCURRED_AT,
       CAST('0101051' AS varchar(16)) AS SCENE,
       CAST(j.sfksdm AS varchar(32)) AS DEPARTMENT,
       CAST(k.name AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(j.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(j.qdlx AS varchar(16)) AS CHANNEL,
       CAST(j.ybdm AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN j.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM VW_MZBRJSK j
LEFT JOIN SF_BRXXK p ON p.patid = j.patid
LEFT JOIN YY_KSBMK k ON k.id = j.sfksdm
WHERE j.ghsfbz = 1
  AND j.ybjszt = 2
  AND j.jlzt IN (0, 1)
UNION ALL
SELECT CAST('payment' AS varchar(16)) AS FEED,
       CAST('YJ' || CAST(d.xh AS varchar(20)) AS varchar(64)) AS SOURCE_ID,
       d.lrrq AS OCCURRED_AT,
       CAST('0101055' AS varchar(16)) AS SCENE,
       CAST(NULL AS varchar(32)) AS DEPARTMENT,
       CAST(NULL AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(d.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(d.qdlx AS varchar(16)) AS CHANNEL,
       CAST(d.ybdm AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN d.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM YY_JZBRYJK d
LEFT JOIN SF_BRXXK p ON p.patid = d.patid
WHERE d.jlzt IN (0, 1)
UNION ALL
SELECT CAST('ward_payment' AS varchar(16)) AS FEED,
       CAST(j.xh AS varchar(64)) AS SOURCE_ID,
       j.jsrq AS OCCURRED_AT,
       CAST('0101053' AS varchar(16)) AS SCENE,
       CAST(s.ksdm AS varchar(32)) AS DEPARTMENT,
       CAST(k.name AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(s.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(j.jsczyh AS varchar(16)) AS CHANNEL,
       CAST(s.ybdm AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.sfzh = p.sfzh
          AND RTRIM(p.sfzh) LIKE '__________________'
          AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
          AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
          AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
          AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN j.jlzt <> 0 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM ZY_BRJSK j
LEFT JOIN ZY_BRSYK s ON s.syxh = j.syxh
LEFT JOIN ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN YY_KSBMK k ON k.id = s.ksdm
WHERE j.ybjszt = 2
  AND j.zje >= 0
UNION ALL
SELECT CAST('ward_payment' AS varchar(16)) AS FEED,
       CAST('YJ' || CAST(d.xh AS varchar(20)) AS varchar(64)) AS SOURCE_ID,
       d.lrrq AS OCCURRED_AT,
       CAST('0101056' AS varchar(16)) AS SCENE,
       CAST(s.ksdm AS varchar(32)) AS DEPARTMENT,
       CAST(k.name AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(s.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(d.czyh AS varchar(16)) AS CHANNEL,
       CAST(s.ybdm AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.sfzh = p.sfzh
          AND RTRIM(p.sfzh) LIKE '__________________'
          AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
          AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
          AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
          AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN d.jlzt <> 0 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM ZYB_BRYJK d
LEFT JOIN ZY_BRSYK s ON s.syxh = d.syxh
LEFT JOIN ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN YY_KSBMK k ON k.id = s.ksdm
WHERE d.czlb = 0
  AND d.jje > 0
UNION ALL
SELECT CAST('examination' AS varchar(16)) AS FEED,
       CAST(RTRIM(r.repno) AS varchar(64)) AS SOURCE_ID,
       r.pubtime AS OCCURRED_AT,
       CAST('0101081' AS varchar(16)) AS SCENE,
       CAST(r.sqksdm AS varchar(32)) AS DEPARTMENT,
       CAST(k.name AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(r.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(r.qdlx AS varchar(16)) AS CHANNEL,
       CAST(r.ybdm AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN r.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM VW_YJ_REPORT r
LEFT JOIN SF_BRXXK p ON p.patid = r.patid
LEFT JOIN YY_KSBMK k ON k.id = r.sqksdm
WHERE r.replb = 'JC'
  AND r.jlzt IN (0, 1)
UNION ALL
SELECT CAST('laboratory' AS varchar(16)) AS FEED,
       CAST(RTRIM(r.repno) AS varchar(64)) AS SOURCE_ID,
       r.pubtime AS OCCURRED_AT,
       CAST('0101082' AS varchar(16)) AS SCENE,
       CAST(r.sqksdm AS varchar(32)) AS DEPARTMENT,
       CAST(k.name AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(r.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(r.qdlx AS varchar(16)) AS CHANNEL,
       CAST(r.ybdm AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.brid = p.patid) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN r.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM VW_YJ_REPORT r
LEFT JOIN SF_BRXXK p ON p.patid = r.patid
LEFT JOIN YY_KSBMK k ON k.id = r.sqksdm
WHERE r.replb = 'JY'
  AND r.jlzt IN (0, 1)
UNION ALL
SELECT CAST('admission' AS varchar(16)) AS FEED,
       CAST(s.syxh AS varchar(64)) AS SOURCE_ID,
       s.ryrq AS OCCURRED_AT,
       CAST('010109' AS varchar(16)) AS SCENE,
       CAST(s.ksdm AS varchar(32)) AS DEPARTMENT,
       CAST(k.name AS varchar(64)) AS DEPARTMENT_NAME,
       CAST(s.cardtype AS varchar(16)) AS CARD_TYPE,
       CAST(s.qdlx AS varchar(16)) AS CHANNEL,
       CAST(s.ybdm AS varchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS varchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS varchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM xt_brxx c WHERE c.sfzh = p.sfzh
          AND RTRIM(p.sfzh) LIKE '__________________'
          AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
          AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
          AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
          AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')) AS varchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN s.brzt = 9 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM ZY_BRSYK s
LEFT JOIN ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN YY_KSBMK k ON k.id = s.ksdm;
