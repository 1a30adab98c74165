"""Texts of the list of events that the HIS changed or refunded after they were sent."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "corrections.title": ("上报后变动", "Changed after delivery"),
    "corrections.none": ("这些日期没有上报后退费或更改的记录", "nothing was refunded or changed after delivery"),
    "corrections.written": ("已写出 {count} 条：{path}", "{count} written to {path}"),
    "corrections.note": (
        "只有单号、代码和字段名，不含患者信息；医院按“HIS 单号”查原记录，平台按“请求 ID”查上报记录。",
        (
            "Keys, codes and names of fields, nothing of patients. The hospital finds the record by its HIS key, the "
            "platform by the request id."
        ),
    ),
    "corrections.kind": ("情况", "What happened"),
    "corrections.day": ("日期", "Day"),
    "corrections.time": ("上报的用卡时间", "Time as reported"),
    "corrections.feed": ("业务", "Feed"),
    "corrections.table": ("HIS 表（视图）", "HIS table or view"),
    "corrections.source_id": ("HIS 单号", "HIS key"),
    "corrections.scene": ("用卡环节", "Scene"),
    "corrections.request_id": ("请求 ID（requestId）", "requestId"),
    "corrections.event_key": ("台账编号", "Event key"),
    "corrections.noticed": ("发现时间", "Noticed"),
    "corrections.fields": ("更改的字段", "Fields that changed"),
    "corrections.hospital_to_do": ("医院信息科", "Hospital IT"),
    "corrections.platform_to_do": ("平台", "Platform"),
    "corrections.fields_unknown": (
        "尚未判明：重新采集该日（stage）后列出",
        "not known yet: stage the day again",
    ),
    "corrections.field.time": ("用卡时间", "time"),
    "corrections.field.scene": ("用卡环节", "scene"),
    "corrections.field.department": ("科室", "department"),
    "corrections.field.card_type": ("证件类型", "card type"),
    "corrections.field.channel": ("用卡渠道", "channel"),
    "corrections.field.cost_type": ("费用类型", "cost type"),
    "corrections.field.patient": ("患者信息（证件号、姓名或二维码）", "of the patient (number, name or QR text)"),
    "corrections.hospital.voided_after_delivery": (
        "按 HIS 单号核对退费是否属实；误退的在 HIS 恢复后会自动销记",
        "check the refund by the HIS key; one that is taken back clears itself",
    ),
    "corrections.platform.voided_after_delivery": (
        "按请求 ID 将这笔从统计中扣除",
        "take the use with this request id out of the statistics",
    ),
    "corrections.hospital.changed_after_delivery": (
        "按 HIS 单号核对所列字段以哪一个为准；改回的会自动销记",
        "find out by the HIS key which value is right; one that is changed back clears itself",
    ),
    "corrections.platform.changed_after_delivery": (
        "以医院提供的正确值，按请求 ID 更正所列字段",
        "correct these fields of the use with this request id, by what the hospital says",
    ),
}
