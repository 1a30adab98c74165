"""The field's own words: feeds, code tables, answers of the platform, special values."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- answers of the platform
    "answer.accepted": ("接收", "accepted"),
    "answer.repeated": ("重复请求", "repeated"),
    "answer.token": ("凭证失效，已自动更换", "token no longer valid, renewed"),
    "answer.busy": ("平台繁忙或出错", "platform busy or failing"),
    "answer.quota": ("调用限额用完", "quota used up"),
    "answer.throttled": ("请求过快", "too fast"),
    "answer.untimely": ("请求时间与平台不符", "dated differently from the platform"),
    "answer.refused": ("拒收", "refused"),
    "answer.misconfigured": ("配置或授权有误", "misconfigured or not authorized"),
    "answer.unlisted": ("文档之外的返回码", "a code that the document lacks"),
    "answer.not_sent": ("未能连接平台", "no connection"),
    "answer.barred": ("被网关或防火墙拦截", "turned away by a gateway"),
    "answer.limited": ("被网关限流（HTTP 429）", "limited by a gateway (HTTP 429)"),
    "answer.no_answer": ("没有应答", "no answer"),
    # --- the field's own words
    "feed.registration": ("挂号", "registration"),
    "feed.payment": ("收费", "payment"),
    "feed.dispensing": ("取药", "dispensing"),
    "feed.examination": ("检查报告", "examination"),
    "feed.laboratory": ("检验报告", "laboratory"),
    "feed.admission": ("住院登记", "admission"),
    "feed.prescription": ("开方", "prescriptions"),
    "feed.diagnosis": ("就诊", "diagnosis"),
    "feed.exam_booking": ("预约检查", "examinations booked"),
    "feed.ward_payment": ("住院收费", "payment of inpatients"),
    "feed.checkup": ("体检报告", "check-up reports"),
    "feed.other": ("其他服务", "other services"),
    "table.scene": ("用卡环节", "scene"),
    "table.department": ("科室", "department"),
    "table.card_type": ("证件类型", "card type"),
    "table.channel": ("渠道", "channel"),
    "table.cost_type": ("费别", "cost type"),
    "value.no_department": ("未填科室", "no department"),
    "value.unknown": ("未识别", "not recognized"),
    "value.blank": ("（空）", "(blank)"),
}
