"""What `hospital check` says of a HIS: what is there, what is missing, what to do."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "survey.connection.ok": (
        "数据库可以连接（{backend}，{seconds} 秒）",
        "the database answers ({backend}, {seconds} s)",
    ),
    "survey.transport.verified.ok": (
        "与 HIS 数据库的连接已加密，并核对证书",
        "the connection to the HIS is encrypted, and its certificate is checked",
    ),
    "survey.transport.encrypted.warn": (
        "与 HIS 数据库的连接已加密，但未核对证书：请将医院自建 CA 的证书写入 CARD_USAGE_CA",
        "the HIS is read encrypted, its certificate unchecked: name the hospital's authority in CARD_USAGE_CA",
    ),
    "survey.transport.optional.warn": (
        "医院文件写明 tls = optional：读取 HIS 可能是明文；请 DBA 启用 TLS 后删去此项",
        "the file says tls = optional: the HIS may be read in clear; let its DBA switch TLS on, then drop that line",
    ),
    "survey.clock.ok": (
        "数据库会话的时间是北京时间（{theirs}）",
        "the database's sessions have the hospital's time ({theirs})",
    ),
    "survey.clock.warn": (
        "数据库时钟为 {theirs}，本机为 {ours}，相差 {minutes} 分钟：请校准其中不准的一个",
        "the database's clock says {theirs}, ours {ours}: {minutes} minutes apart; set the one that is wrong",
    ),
    "survey.clock.zone.warn": (
        "服务器时间 {theirs}，北京时间 {ours}：服务器在别的时区，由它填写的时间不是北京时间，请与厂商核对",
        "the server's clock says {theirs}, Beijing's {ours}: another zone; what it fills in itself is not local time",
    ),
    "survey.end.over.ok": (
        "医院上报至 {end} 为止：此后不采集、不排期、不告警；以下检查的是此前 {days} 天",
        "reported until {end}: nothing later is read, scheduled or missed; checked here are the {days} days before",
    ),
    "survey.end.set.ok": (
        "医院将于 {end} 后停止上报",
        "the last day to be reported is {end}",
    ),
    "survey.busy.warn": (
        "按医院文件的规定现在不能查询（{reason}），稍后再查",
        "the hospital's file lets nothing be asked now ({reason}); check again later",
    ),
    "survey.columns.ok": (
        "业务 {feed}：{tables} 个表（视图）、{columns} 列都可读取",
        "feed {feed}: {tables} tables or views and {columns} columns can be read",
    ),
    "survey.columns.missing": (
        "业务 {feed}：缺少 {names}。请对照 include/sql/{shape}/{feed}.sql 开头的说明，由 DBA 补上或授予查询权限",
        "feed {feed}: {names} missing. See the head of include/sql/{shape}/{feed}.sql; the DBA adds or grants it",
    ),
    "survey.rights.ok": ("登录账号只有查询权限", "the login can read and nothing else"),
    "survey.rights.warn": (
        "登录账号对 {names} 还有写入权限，请收回（见 docs/his-contract.md 的 login.sql）",
        "the login may also write to {names}: take that away (login.sql in docs/his-contract.md)",
    ),
    "survey.rights.unknown.ok": (
        "此数据库无法查询写入权限，请由 DBA 确认账号只读",
        "this database does not tell whether the login may write: let the DBA confirm that it only reads",
    ),
    "survey.rows.ok": (
        "业务 {feed}：最近 {days} 天 {rows} 条，其中退费作废 {voided} 条，计数用时 {seconds} 秒",
        "feed {feed}: {rows} rows in {days} days, {voided} of them voided, counted in {seconds} s",
    ),
    "survey.rows.none.warn": (
        "业务 {feed}：最近 {days} 天没有数据，请核对业务是否启用、成功条件与时间字段",
        "feed {feed}: no row in {days} days; check that it is in use, what counts as success, and its time column",
    ),
    "survey.rows.slow.warn": (
        "业务 {feed}：{rows} 条计数用了 {seconds} 秒，时间列很可能没有索引",
        "feed {feed}: counting {rows} rows took {seconds} s; the time column has probably no index",
    ),
    "survey.untimed.warn": (
        "业务 {feed}：{rows} 条的时间为空、不是时间或在年份之外，归不到任何一天，不会上报；例如主键 {keys}",
        "feed {feed}: {rows} rows have no usable time, so they are in no day and are not reported; keys such as {keys}",
    ),
    "survey.untimed.unasked.warn": (
        "业务 {feed}：SQL 的时间条件不是“列 >= :start AND 列 < :end”，无法统计时间不可用的记录",
        "feed {feed}: its SQL does not say 'column >= :start AND column < :end': rows without a time cannot be counted",
    ),
    "survey.untimed.unknown.warn": (
        "业务 {feed}：无法统计时间不可用的记录：{problem}",
        "feed {feed}: rows without a usable time cannot be counted: {problem}",
    ),
    "survey.success.ok": (
        "业务 {feed}：成功状态为 {condition}；最近 {days} 天 {rows} 条中排除 {excluded} 条",
        "feed {feed}: successful is {condition}; of {rows} rows in {days} days {excluded} are left out",
    ),
    "survey.success.all.ok": (
        "业务 {feed}：成功状态为 {condition}；最近 {days} 天 {rows} 条全部符合，没有可排除的，请确认失败的不在其中",
        "feed {feed}: successful is {condition}; all {rows} rows of {days} days are: are failed ones really not there?",
    ),
    "survey.success.none.warn": (
        "业务 {feed}：include/sql/{shape}/{feed}.sql 没有声明成功状态（文档 3.3.1），请在开头写明 -- Success 一行",
        (
            "feed {feed}: include/sql/{shape}/{feed}.sql does not declare what is successful (document 3.3.1): add its "
            "line -- Success"
        ),
    ),
    "survey.success.more.warn": (
        "业务 {feed}：会上报 {reported} 条，而符合成功状态（{condition}）的只有 {successful} 条，请核对 SQL 的条件",
        "feed {feed}: {reported} would be reported, only {successful} are successful ({condition}): see its SQL",
    ),
    "survey.success.unknown.warn": (
        "业务 {feed}：无法核对 {table} 的成功状态：{problem}",
        "feed {feed}: what is successful in {table} cannot be counted: {problem}",
    ),
    "survey.drift.missing": (
        "业务 {feed}：列 {column} 不对：{problem}",
        "feed {feed}: column {column} is not as it should be: {problem}",
    ),
    "survey.codes.ok": ("院内代码都有对照（最近 {days} 天）", "every local code of the last {days} days has an alias"),
    "survey.codes.conflict.warn": (
        "{count} 个代码的决定与对照表文件不一致，以决定为准：{examples}。请核对后导出（export）或撤销（undo）",
        "{count} decisions differ from the alias files and count before them: {examples}. Export them or undo them",
    ),
    "survey.codes.missing": (
        "{table} 有 {count} 个代码没有对照，涉及 {rows} 条：{examples}。用 aliases apply 或补报表单填写即放行",
        "{table}: {count} codes have no alias, {rows} rows: {examples}. `aliases apply` or the form releases them",
    ),
    "survey.rules.ok": (
        "抽查 {read} 条，{held} 条会因数据问题隔离（{share}）",
        "of {read} rows, {held} would be quarantined for their data ({share})",
    ),
    "survey.rules.warn": (
        "抽查 {read} 条，{held} 条会因数据问题隔离（{share}）：{causes}",
        "of {read} rows, {held} would be quarantined for their data ({share}): {causes}",
    ),
    "survey.misplaced.ok": (
        "抽查的行中，代码、科室名称和单号里没有发现患者信息",
        "no patient data was found in codes, names of departments and keys of the rows read",
    ),
    "survey.misplaced.missing": (
        (
            "{column}中有患者信息（姓名、证件号、手机号或健康卡二维码），抽查 {read} 行中有 {rows} 行："
            "请核对 SQL 取数的列，这些记录会被隔离"
        ),
        (
            "{column}: patient data (a name, an ID, mobile or QR text) in {rows} of {read} rows: check which column "
            "the feed's SQL takes; such records are quarantined"
        ),
    ),
    "survey.misplaced.mobiles.warn": (
        (
            "抽查 {read} 行，其中 {rows} 行的 HIS 单号看起来是手机号：若是，请改用流水号作单号；"
            "若不是，在 [normalize] 中写 keys_by_shape = false"
        ),
        (
            "{rows} of {read} keys look like mobile numbers: if they are, take a serial number as the key; if not, "
            "write keys_by_shape = false under [normalize]"
        ),
    ),
    "survey.freshness.ok": ("副本已同步到 {upto}（{probe}）", "the replica has followed up to {upto} ({probe})"),
    "survey.freshness.warn": (
        "无法证明副本已过 {end}（探测 {probe} 读到 {upto}）。若长期如此，请检查数据同步或心跳作业",
        "nothing proves that the replica has passed {end} ({probe} reads {upto}): check replication, or the beat's job",
    ),
    "survey.freshness.none.warn": (
        "未设置同步探测：副本滞后时当天数据可能不全。建议在医院文件加 [his.freshness]，用心跳表最稳妥",
        "no freshness probe is set: a lagging replica would give half a day. Set [his.freshness], best a heartbeat",
    ),
    "survey.freshness.missing": ("同步探测不可用：{problem}", "the freshness probe does not work: {problem}"),
    "survey.indexes.ok": ("时间列和关联列的索引齐全：{names}", "the indexes that are wanted are there: {names}"),
    "survey.indexes.warn": ("建议由 DBA 建索引：{names}", "the DBA should create indexes on {names}"),
    "survey.indexes.unknown.ok": (
        "看不到索引的有 {names}（视图或无权限），请 DBA 对照 SQL 文件开头确认",
        "indexes cannot be seen on {names} (views, or no right to); let the DBA compare with the head of the SQL files",
    ),
    "survey.volume.ok": ("预计每天约 {calls} 次上报", "about {calls} calls a day are to be expected"),
    "survey.volume.warn": (
        "预计每天约 {calls} 次上报，而未正式上线时每天限 {quota} 次：积压会不断增加，请申请上线或提高额度",
        "about {calls} calls a day, but {quota} while not live: the backlog only grows; go live or ask for more",
    ),
    "survey.volume.finish.ok": (
        "未上线额度每天 {quota} 次，最近 {days} 天的数据预计 {finish} 报完",
        "with {quota} calls a day, the last {days} days are through on {finish}",
    ),
    "survey.target.ok": (
        "上报到 {names}，台账中已送达 {events} 笔",
        "reports go to {names}; the ledger has {events} delivered there",
    ),
    "survey.target.assumed.warn": (
        (
            "上报到 {names}，已送达 {events} 笔；其中有旧版本上报的，当时没有登记平台地址，因 appId 相同视为同一平台。"
            "若其实报给了模拟平台，请执行 platform forget --hospital {id}"
        ),
        (
            "reports go to {names}; some of {events} delivered were sent by a version that recorded no address, and "
            "are taken to be there because the appId is the same. Was it a sandbox: `platform forget --hospital {id}`"
        ),
    ),
    "survey.target.changed.missing": (
        (
            "台账中的记录报给了 {was}，现在的连接指向 {names}，上报会被拒绝。改回原平台；若是同一平台换了地址，执行 "
            "platform move --hospital {id}；若原来是模拟平台（演练），执行 platform forget --hospital {id}"
        ),
        (
            "the events in the ledger went to {was}, the connection names {names}: runs are refused. Name the old one "
            "again; or `platform move --hospital {id}` for the same platform under another address, `platform forget "
            "--hospital {id}` for a rehearsal"
        ),
    ),
    "survey.target.moved.ok": (
        "平台地址于 {at} 变更：{was} → {now}（{by}，{reason}）",
        "the platform's address changed at {at}: {was} -> {now} ({by}, {reason})",
    ),
    "survey.target.forgotten.ok": (
        "{at} 清除了演练记录：原报给 {was}（{by}，{reason}）",
        "a rehearsal was forgotten at {at}: it had gone to {was} ({by}, {reason})",
    ),
    "survey.memory.on_acceptance.ok": (
        "已知平台收下后才记住 requestId（{at}）：失去应答后的 10054（重复请求）可证明已收",
        "the platform is known to remember request ids on acceptance ({at}): 10054 after a lost answer proves delivery",
    ),
    "survey.memory.on_sight.warn": (
        "已知平台一看到 requestId 就会记住（{at}）：10054 什么也不能证明，这样的记录列为“无法确认”，要与平台对账单核对",
        (
            "the platform is known to remember request ids on sight ({at}): 10054 proves nothing, such events are "
            "unconfirmed, to be compared with its statement"
        ),
    ),
    "survey.memory.unknown.warn": (
        (
            "尚不清楚平台何时记住 requestId，10054 什么也不能证明：上线前请执行 "
            "python -m card_usage platform calibrate --hospital {id}"
        ),
        (
            "it is not known when the platform remembers request ids, so its 10054 proves nothing: before go-live run "
            "`python -m card_usage platform calibrate --hospital {id}`"
        ),
    ),
    "survey.mark.ok": ("正常", "ok"),
    "survey.mark.warn": ("注意", "note"),
    "survey.mark.missing": ("缺失", "MISSING"),
    "survey.good": ("检查通过，可以开始上报", "nothing is missing: reporting can start"),
    "survey.bad": ("还缺 {count} 项，补齐后再检查一次", "{count} things are missing: mend them and check again"),
}
