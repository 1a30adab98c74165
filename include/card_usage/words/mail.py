"""Texts of mails that carry a report, and of its sheets."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "mail.fleet": ("用卡上报晨报 {when}：{level}（{about}）", "Card use reporting {when}: {level} ({about})"),
    "mail.hospital": ("{about} 用卡上报 {when}：{level}", "{about}, card use reporting {when}: {level}"),
    "mail.whole": ("查看完整报表", "Open the whole report"),
    "mail.more": ("另有 {n} 项，见完整报表", "{n} more, see the whole report"),
    "mail.level.broken": ("有不明差异，请立即核查", "unexplained differences, look at once"),
    "mail.level.absent": ("有医院需要关注", "hospitals need attention"),
    "mail.level.uncounted": ("尚未与医院系统核对", "not yet compared with the HIS"),
    "mail.level.withheld": ("质检未放行", "withheld by the quality check"),
    "mail.level.open": ("仍在处理", "under way"),
    "mail.level.provisional": ("暂定", "provisional"),
    "mail.level.explained": ("核对一致，有待处理事项", "agrees, some to mend"),
    "mail.level.complete": ("核对一致，全部上报", "all agrees and is reported"),
    "mail.level.empty": ("没有用卡", "no uses"),
    # --- sheets
    "sheet.summary": ("汇总", "Summary"),
    "sheet.feeds": ("各业务", "Feeds"),
    "sheet.uses": ("用卡构成", "Uses"),
    "head.dimension": ("维度", "Dimension"),
    "head.code": ("代码", "Code"),
    "head.name": ("名称", "Name"),
    "head.share": ("占比", "Share"),
    "head.hour": ("时", "Hour"),
}
