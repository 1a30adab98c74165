"""What the report of a batch upgrade says (document 2.5)."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "upgrade.title": ("老用户批量升级报告", "Cards for patients: report"),
    "upgrade.hospital": ("医院", "Hospital"),
    "upgrade.read_at": ("最近一次完整读取 HIS", "The HIS was last read to its end"),
    "upgrade.never": ("尚未读取", "never"),
    "upgrade.equation": ("HIS 患者记录的归类", "What the HIS's records came to"),
    "upgrade.rows": ("HIS 记录", "Records of the HIS"),
    "upgrade.class": ("类别", "Class"),
    "upgrade.number": ("人数", "Number"),
    "upgrade_class.registered": ("已注册", "registered"),
    "upgrade_class.existed": ("已有健康卡", "had a card already"),
    "upgrade_class.refused": ("未通过", "refused"),
    "upgrade_class.under_way": ("注册中", "under way"),
    "upgrade_class.waiting": ("待注册", "waiting"),
    "upgrade_class.quarantined": ("隔离", "quarantined"),
    "upgrade_class.same_person": ("同一人的另一条记录", "another record of the same person"),
    "upgrade_class.repeated": ("院内 ID 重复的行", "rows with a key that another row has"),
    "upgrade.balanced": ("两边相等：每条记录恰好归入一类", "both sides are equal: each record is in exactly one class"),
    "upgrade.unbalanced": ("两边不等，请核对", "THE SIDES DIFFER: look into it"),
    "upgrade.causes": ("隔离原因", "Why records are quarantined"),
    "upgrade.cause": ("参数与返回码", "Parameter and code"),
    "upgrade.meaning": ("说明", "Meaning"),
    "upgrade.codes": ("未通过的返回码", "Refused, by result code"),
    "upgrade.no_code": (
        "逐项结果没有原因代码（文档 3.2.9），多为核身未通过",
        "the answer to a batch gives no reason (document 3.2.9); mostly the identity was not verified",
    ),
    "upgrade.days": ("按日", "By day"),
    "upgrade.day": ("日期", "Day"),
    "upgrade.gone": (
        "已提交、之后离开 HIS 的记录：{number}",
        "records that left the HIS after their person was sent: {number}",
    ),
    "upgrade.from_lists": (
        "来自名单、HIS 中没有的人：{number}",
        "people from lists whom the HIS does not know: {number}",
    ),
    "upgrade.none": ("无", "none"),
    "upgrade.note": (
        "“已有健康卡”指本程序事先已知道其卡；平台的应答不区分新建与原有（3.2.9）。",
        "Who had a card already is who was known to have it: answers do not tell new cards from old ones (3.2.9).",
    ),
}
