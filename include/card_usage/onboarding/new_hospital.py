"""New hospital: write its commented hospital file and empty alias tables. Existing files are never overwritten."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Final

from card_usage.config.hospital import load_hospital
from card_usage.errors import BadHospitalFile
from card_usage.files.shipped import names_in
from card_usage.onboarding.sql_requirements import requirements_of
from card_usage.source.feeds import SQL
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import load_tables

_TABLES: Final = ("card_type", "channel", "cost_type", "department", "scene")
_FILE: Final = """\
# {name}. 医院文件 / the hospital's file. 不写密码：连接放在 AIRFLOW_CONN_... 或 Airflow 连接里。
# No secrets in here: connections are AIRFLOW_CONN_<ID> variables or Airflow connections.
# 改好后检查 / when it is filled in:  python -m card_usage hospital check {id}
id = "{id}"
name = "{name}"
name_en = ""
region = ""                       # 行政区划六位，可空 / six digits, may stay empty
cadence = "daily"                 # daily 每日 | hourly 每小时
# start = 2026-01-01              # 此日之前不上报 / nothing before this day is reported
# end = 2030-12-31                # 此日之后不上报、不告警，历史保留 / nothing after this day; its past stays

[his]
connection = "{id}_his"           # AIRFLOW_CONN_{upper}_HIS = mssql://登录:密码@主机:1433/库名
shape = "{shape}"                 # include/sql 下的目录 / folder of include/sql
feeds = [{feeds}]
{view_feeds}fetch_size = 5000                 # 每批行数 / rows a batch
look_back_days = 3                # 回看天数：迟到、退费、更正 / late rows, refunds, changes
isolation = "read committed"      # read committed | snapshot（须 DBA 已开启 / the DBA must have allowed it）
lock_timeout_seconds = 30         # 等锁不超过 / we give way rather than wait longer for a lock
query_timeout_seconds = 600       # 副本无响应即断开 / silence that counts as lost
max_parallel_queries = 2          # 同时查询数，所有进程合计 / queries at once, over all processes
avoid_hours = []                  # 避让时段 / hours in which none starts, e.g. ["01:00-03:30"]
# tls = "verified"                # verified 核对证书 | encrypted 只加密 | optional 可不加密 / may be in clear

[his.freshness]                   # 怎样证明副本已同步 / how the replica proves how far it has followed
probe = "none"                    # none | heartbeat 心跳表 | replication 数据库自报 | newest_row 最新一行
# 仅心跳表，DBA 脚本 / heartbeat only, the DBA's script: include/sql/card_use_view/dba/<database>/heartbeat.sql
# table = "CARD_USAGE_HEARTBEAT"
# column = "beat_at"
grace_minutes = 5                 # 须超过窗口终点多久 / how far past a window's end
deadline_minutes = 360            # 到期按“暂定”上报并再次核对 / then on as provisional, and counted again

[platform]
connection = "{id}_platform"      # 主机 host，登录 login = appId，密码 password = appSecret
# rehearsal_connection = "{id}_platform_rehearsal"  # 演练用：模拟平台或平台测试环境 / of `rehearse`: a sandbox
hospital_id = "0"                 # 平台分配的医院编号 / given by the platform
profile = "v2.1"                  # v2.1 | current
department_format = "name"        # name 标准名称 | code 标准代码 | his_name 院内名称 / the HIS's own name
channel_format = "code"           # code 代码 | name 名称（服务号……）
# also_send：规则不要求、知道就报的字段（docs/rules.md）。不涉及患者的代码默认上报；[] 只报必填；患者字段须自行加入：
# "id_number"、"name"、"qr_code_text"。V2.1 没有费别参数，"cost_type" 用于 profile = "current"。
# Sent where known, beyond what a rule requires. Codes name no patient; a patient's fields have to be added here.
also_send = ["department"]        # "department" | "cost_type" | "id_number" | "name" | "qr_code_text"
# channel_num = 0                 # commonIn.channelNum，平台要求时再写 / if the platform asks for it
# sub_hospital_code = ""          # subHospitalCode 院区，平台要求时再写 / a campus, if the platform asks for it
# 平台正式上线前每接口每天限 100 次；上线后由平台解除限额，再改为 true，此后全量上报。
# Until the platform has put the hospital live, it takes daily_quota calls a day; true only then: everything is sent.
live = false                      # false 未上线，按 daily_quota 限量上报 / true 已上线，不限量
daily_quota = 100
backfill_order = "newest"         # newest | oldest
concurrency = 32                  # 并发 / calls in flight
requests_per_second = 0           # 0 不限 / 0: no limit of ours

[normalize]
upgrade_15_digit_ids = false      # 15 位身份证升 18 位 / make 15-digit IDs 18-digit ones

[report]
language = "zh"                   # zh | en

# [upgrade]                       # 老用户批量升级（docs/upgrade.md）/ cards for patients, in batches
# card_list_url = "https://..."   # 服务号健康卡列表页面，模板消息跳转到此 / where the message leads
# patients_a_batch = 50
# shape = "card_use_view"         # 患者取自视图 V_PATIENT；默认同 [his] / patients from V_PATIENT; default: as [his]

# [retention]                     # 留存天数 / days that are kept (docs/production.md)
# quarantined_days = 180          # 被隔离记录的患者字段 / patient fields of quarantined events
# rejected_days = 180             # 被拒记录的患者字段 / of rejected ones
# reports_days = 3650             # 报告文件，默认不清除 / report files, by default for ever

[alerts]                          # 谁收到告警、何时（docs/alerts.md）/ who hears of trouble, and when
report_by = "09:00"               # 日报应在此时前生成 / yesterday's report must be there by then
quiet_from = "21:00"              # 夜间只提醒严重问题 / at night only what is critical
quiet_to = "07:30"
digest_at = "07:30"               # 晨报 / the morning digest

# 每个通道一段；通道是 AIRFLOW_CONN_{upper}_WECOM 这样的连接。不写则发到 CARD_USAGE_TEAM_CHANNELS。
# One such block a channel, which is a connection like AIRFLOW_CONN_{upper}_WECOM; none: CARD_USAGE_TEAM_CHANNELS.
# 试发 / try it:  python -m card_usage alerts test --hospital {id}
# [[alerts.routes]]
# channel = "{id}_wecom"
# least = "warning"               # 起始级别 / from which severity on: info | warning | critical
# at_night = "critical"           # 夜间 / in quiet hours: critical | all | nothing
"""


_VIEW_FEEDS: Final = """\
# 以下业务读取视图 V_CARD_USE，DBA 建好视图（docs/his-contract.md）后再加入 / these read the view V_CARD_USE; add them
# when the DBA has made it: {feeds}
"""


def create_hospital(
    hospital_id: str, *, shape: str, name: str, hospitals: Path, environment: Mapping[str, str]
) -> tuple[Path, ...]:
    """Write <hospitals>/<id>.toml and an alias table for each code table; returns their paths, the TOML file first.

    The files are read back to check them. Raises BadHospitalFile if one exists already or the id is invalid.
    """
    path = hospitals / f"{hospital_id}.toml"
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", hospital_id):
        problem = "takes a lower-case letter first, then lower-case letters, digits and _, at most 64"
        raise BadHospitalFile(path=path.as_posix(), key="id", problem=problem)
    aliases = Path(environment.get("CARD_USAGE_ALIASES") or hospitals.parent / "code_aliases") / hospital_id
    paths = (path, *(aliases / f"{table}.csv" for table in _TABLES))
    for target in paths:
        if target.exists():
            raise BadHospitalFile(path=target.as_posix(), key="(file)", problem="is there already; nothing was written")
    names = [file.removesuffix(".sql") for file in names_in(SQL / shape, "*.sql")]
    of_view = [name for name in names if _reads_view(shape, name) and not shape.startswith("card_use_view")]
    feeds = ", ".join(f'"{name}"' for name in names if name not in of_view)
    safe_name = re.sub(r'["\\\x00-\x1f]', "", name) or hospital_id
    view_feeds = _VIEW_FEEDS.format(feeds=", ".join(f'"{name}"' for name in of_view)) if of_view else ""
    text = _FILE.format(
        id=hospital_id, upper=hospital_id.upper(), name=safe_name, shape=shape, feeds=feeds, view_feeds=view_feeds
    )
    for target in paths:
        target.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    for alias_table in paths[1:]:
        # With a byte order mark Excel reads the file as UTF-8.
        alias_table.write_text(_empty_alias_table(), encoding="utf-8-sig")
    load_hospital(hospitals, hospital_id)
    load_aliases(aliases.parent, hospital_id, load_tables())
    return paths


def _reads_view(shape: str, feed: str) -> bool:
    return "V_CARD_USE" in requirements_of(shape, feed).reads


def _empty_alias_table() -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(("local", "standard", "note"))
    return text.getvalue()
