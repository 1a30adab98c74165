"""Texts of the fleet's page and of the words for where a day stands."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "fleet.title": ("用卡数据上报总览", "Card use reporting: all hospitals"),
    "fleet.sent_to": (
        "{n} 家医院的上报平台：{host}（appId {app_id}）。",
        "Reported to {host} (appId {app_id}) by {n} of them.",
    ),
    "fleet.sent_to_more": ("另有 {n} 个平台应用，见 JSON。", "{n} more applications stand in the JSON."),
    "fleet.title_of_region": ("用卡数据上报总览 {region}", "Card use reporting: hospitals of {region}"),
    "fleet.complete": (
        "{all} 家医院全部核对一致、全部上报：医院系统记录 {source} 笔，平台已接收 {delivered} 笔。",
        "All {all} hospitals agree and have reported everything: {source} records in the HIS, {delivered} accepted.",
    ),
    "fleet.explained": (
        "{all} 家医院全部核对一致：医院系统记录 {source} 笔，平台已接收 {delivered} 笔，{todo} 笔待处理。",
        "All {all} hospitals agree: {source} records in the HIS, {delivered} accepted, {todo} to mend.",
    ),
    "fleet.earlier_open": (
        "{all} 家医院当日一致，但 {where} 家往日尚未办结（共 {days} 天）；平台已接收 {delivered} 笔，{todo} 笔待处理。",
        (
            "All {all} hospitals agree on the day, but {where} have earlier days open ({days}); {delivered} accepted, "
            "{todo} to mend."
        ),
    ),
    "fleet.open": (
        "{all} 家医院中 {good} 家核对一致，{under_way} 家仍在处理，下次运行自动继续；平台已接收 {delivered} 笔。",
        "Of {all} hospitals {good} agree and {under_way} are under way for the next run; {delivered} accepted.",
    ),
    "fleet.absent": (
        "{all} 家医院中 {attention} 家需要关注，{good} 家核对一致，{under_way} 家仍在处理；平台已接收 {delivered} 笔。",
        "Of {all} hospitals {attention} need attention, {good} agree, {under_way} are under way; {delivered} accepted.",
    ),
    "fleet.broken": (
        "有 {remainder} 笔差异无法归类，请立即核查；{all} 家医院中 {good} 家核对一致。",
        "{remainder} records differ and no class explains them: look at once; {good} of {all} hospitals agree.",
    ),
    "fleet.empty": ("当日没有用卡记录。", "No card was used on this day."),
    "fleet.kind": ("{n} 家医院", "{n} hospitals"),
    "fleet.hospitals": ("各医院情况", "Hospitals"),
    "fleet.hospitals_note": ("最需关注的在前", "the most urgent first"),
    "fleet.broken_files": ("医院配置有误", "Hospital files that cannot be read"),
    "fleet.left_out": ("另有 {n} 类事项，见各医院报表", "{n} more kinds, see the hospitals' own reports"),
    "fleet.and_more": ("{names}等 {n} 家", "{names} and others, {n} in all"),
    "fleet.rest": ("其余 {n} 家", "The other {n}"),
    "fleet.rest_note": ("点击展开", "click to see them"),
    "fleet.counted": ("已清点 {n} 家，未清点 {rest} 家", "{n} hospitals counted, {rest} not"),
    "fleet.counted_staged": (
        "已清点的医院共 {staged} 笔",
        "{staged} in the hospitals that were counted",
    ),
    "fleet.hospital": ("医院", "Hospital"),
    "fleet.region": ("区域", "Region"),
    "fleet.regions": ("各区域用卡", "Uses by region"),
    "fleet.count": ("医院数", "Hospitals"),
    "fleet.not_live": ("未上线", "not live yet"),
    "fleet.ended": ("上报至 {end} 为止", "reported until {end}"),
    # --- where a day stands, in a word or two
    "level.broken": ("不明差异", "unexplained"),
    "level.absent": ("没有数据", "nothing there"),
    "level.uncounted": ("未清点", "not counted"),
    "level.withheld": ("质检未放行", "withheld"),
    "level.open": ("处理中", "under way"),
    "level.provisional": ("暂定", "provisional"),
    "level.explained": ("一致，有待处理", "agrees, some to mend"),
    "level.complete": ("一致", "complete"),
    "level.empty": ("无用卡", "no uses"),
    # --- what holds a hospital's deliveries
    "hold.pause": ("已暂停", "paused"),
    "hold.drain": ("已停止上报", "drained"),
    "hold.quota": ("限额用完", "quota used up"),
    "hold.misconfigured": ("平台拒绝", "refused"),
    "hold.contested": ("凭证被争用", "token contested"),
}
