"""Texts of the page that shows what the quality check looked at."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "docs.title": ("质检明细", "quality check"),
    "docs.none": ("没有需要说明的情况", "nothing to report"),
    "docs.facts": (
        "检查 {events} 笔记录，{at}（北京时间），用时 {seconds} 秒",
        "{events} records, checked {at} (Beijing time) in {seconds} s",
    ),
    "docs.intro": (
        "以下是 Great Expectations 的逐项结果：先是待上报记录是否符合规则，再是数量、占比与历史的比较。不含患者信息。",
        (
            "Below is each result of Great Expectations: whether what is due satisfies the rules, then volumes and "
            "shares against history. Yes, no and counts only, nothing about patients."
        ),
    ),
    "suite.rules": ("待上报记录是否符合规则", "Does what is due satisfy the rules"),
    "suite.measures": ("数量、占比与限度和历史的比较", "Volumes and shares against limits and history"),
    "docs.counted": ("共 {of} 项，符合 {met} 项，不符合 {unmet} 项", "{of} checks: {met} met, {unmet} not met"),
    "docs.result": ("结果", "Result"),
    "docs.expectation": ("检查内容", "What is expected"),
    "docs.met": ("符合", "met"),
    "docs.unmet": ("不符合", "not met"),
    "docs.files": ("用卡上报 · 报告与质检", "Card uses: reports and quality checks"),
    "docs.empty": ("还没有报告", "no report yet"),
    "docs.of_run": ("本次运行生成的报告", "Reports that this run has written"),
    "docs.none_of_run": ("本次运行还没有生成报告。", "This run has written no report yet."),
    "docs.earlier": ("更早", "earlier"),
    "file_kind.html": ("报表", "report"),
    "file_kind.json": ("数据", "data"),
    "file_kind.xlsx": ("表格", "sheets"),
    "file_kind.mail.html": ("邮件版", "as a mail"),
    "file_kind.quality": ("质检明细", "quality check"),
}
