"""Texts of the usage figures (document 2.7.5 and 2.7.6)."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "usage.uses": ("用卡次数", "Uses"),
    "usage.health_card": ("健康卡用卡", "With a health card"),
    "usage.visits": ("就诊人次（有效挂号）", "Visits (valid registrations)"),
    "usage.health_card_visits": ("持健康卡就诊", "Visits with a health card"),
    "usage.uses_per_visit": ("次均刷卡", "Uses per visit"),
    "usage.issued_cards": ("已发放健康卡", "Health cards issued"),
    "usage.uses_per_issued_card": ("已发放卡均使用次数", "Uses per issued card"),
    "usage.issued_use_rate": ("已发放卡使用率", "Share of issued cards in use"),
    "usage.people": ("用卡人群占比", "Card users by age and sex"),
    "usage.peak_hours": ("高峰时段", "Busiest hours"),
    "usage.by_region": ("按区域", "By region"),
    "usage.no_region": ("未填区域", "no region"),
    "missing.uses_per_issued_card": (
        "未配置发卡数：在医院配置 [report] 中填写 issued_cards",
        "no count of issued cards: set issued_cards in table [report] of the hospital's file",
    ),
    "missing.issued_use_rate": (
        "需要去重后的用卡张数；台账不保留患者身份，不作推算",
        "needs a count of different cards; the ledger recognizes nobody, and nothing is guessed",
    ),
    "missing.people": (
        "需要年龄、性别；上报完成后台账不保留患者信息",
        "needs age and sex; the ledger keeps nothing about a patient once an event is settled",
    ),
    "group.health": ("健康卡", "health card"),
    "group.treatment": ("就诊卡（诊疗卡）", "treatment card"),
    "group.insurance": ("医保卡", "insurance card"),
    "group.resident_id": ("居民身份证", "resident ID"),
    "group.all_others": ("其他证件", "all other cards"),
    "group.other": ("其他、未识别", "others, not recognized"),
    "group.outpatient": ("门诊", "outpatient"),
    "group.inpatient": ("住院", "inpatient"),
    "group.convenience": ("便民及其他服务", "convenience and other services"),
}
