"""Texts of the question that a person gets about a withheld window."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "ask.subject": (
        "{hospital} {window}：质检未放行，请确认",
        "{hospital}, {window}: withheld by the gate, please decide",
    ),
    "ask.why": ("为什么没有放行", "Why it is withheld"),
    "ask.column.level": ("级别", "Level"),
    "ask.column.reason": ("原因", "Reason"),
    "ask.of_feeds": ("（业务：{feeds}）", " (feeds: {feeds})"),
    "ask.feeds": ("各业务现状", "Feeds"),
    "ask.column.feed": ("业务", "Feed"),
    "ask.column.ready": ("待上报", "Ready"),
    "ask.column.quarantined": ("已隔离", "Quarantined"),
    "ask.column.concerned": ("是否受影响", "Concerned"),
    "ask.yes": ("受影响", "yes"),
    "ask.no": ("不受影响", "no"),
    "ask.causes": ("隔离原因（前 {most} 项）", "Causes of quarantine (the first {most})"),
    "ask.column.cause": ("原因", "Cause"),
    "ask.column.code": ("本院代码", "Local code"),
    "ask.column.name": ("本院名称", "Local name"),
    "ask.column.events": ("笔数", "Records"),
    "ask.options": ("怎样选择", "What to choose"),
    "ask.released": (
        "**{option}**：上报全部 {ready} 笔待上报记录。上报后无法撤回。",
        "**{option}**: sends all {ready} records that are ready. Reports cannot be called back.",
    ),
    "ask.clean": (
        "**{option}**：只上报不受影响业务的 {clean} 笔（{feeds}），其余 {rest} 笔继续暂缓，原因处理后自动放行。",
        (
            "**{option}**: sends the {clean} records of feeds that no reason concerns ({feeds}); the other {rest} "
            "stay until the cause is mended."
        ),
    ),
    "ask.no_clean": (
        "**{option}**：本次所有业务都受影响，选此项等于不放行。",
        "**{option}**: every feed is concerned, so this is the same as rejecting.",
    ),
    "ask.rejected": (
        "**{option}**：一笔也不上报，记录留在台账中，之后仍可改为放行。",
        "**{option}**: nothing is sent; the records stay in the ledger and may be released later.",
    ),
    "ask.quarantined": (
        "已隔离的记录无论怎样选择都不会上报；补好对照表或医院系统数据后自动上报。",
        "Quarantined records are never sent by this decision; they go by themselves once their cause is mended.",
    ),
    "ask.deadline": (
        "请在 {deadline} 前选择，逾期按“{option}”处理。等待期间其他医院和之后的日期照常上报。",
        "Please decide by {deadline}; after that it is '{option}'. Other hospitals and later windows go on meanwhile.",
    ),
    "ask.two_people": (
        (
            "上报的记录超过该时间窗的 {limit} 时，须由两位不同的登录用户作出相同选择：第一位选择后表单再次打开，"
            "一笔也不上报，直到第二位确认。"
        ),
        (
            "Where more than {limit} of the window's records would go, two different users have to choose the same: "
            "after the first one the form opens again, and nothing is sent until a second one agrees."
        ),
    ),
    "ask.first": ("{by} 已选“{option}”，等待另一位确认。", "{by} has chosen '{option}'; another user has to agree."),
    "ask.command": ("也可以用命令行决定", "Or by command line"),
    "decide.none": ("没有等待人工确认的时间窗", "nothing waits for a decision"),
    "decide.kept": (
        "{count} 个时间窗此前已有决定，未更改：确要更改请加 --anew",
        "{count} windows were decided before and stay so: add --anew to change them",
    ),
    "decide.second": (
        "{count} 个时间窗还须另一位用户作出相同决定才生效（second_person_above），目前一笔也未上报",
        "{count} windows wait for the same decision of another user (second_person_above); nothing of them is sent yet",
    ),
    "decide.withheld": (
        "以上时间窗被质检暂缓，其中的记录没有上报：用 python -m card_usage decide 决定是否放行",
        "these windows are withheld by the gate and nothing of them was sent: decide by python -m card_usage decide",
    ),
    "stage.first": (
        "以上时段从未从医院系统采集，有没有用卡无从得知：请先运行 python -m card_usage stage",
        "these parts were never read from the HIS, so nobody knows of card uses: run python -m card_usage stage",
    ),
    "decide.deadline": ("逾期默认", "deadline"),
}
