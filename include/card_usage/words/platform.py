"""What the platform's result codes ask for (document 3.2.12)."""

from typing import Final

_SUPPORT: Final = (
    "平台一侧的问题：稍后重试，持续出现请把 requestId 交给平台对接人员",
    "the platform's own problem: try later; if it lasts, give the requestId to the platform's staff",
)
_INPUT: Final = ("补全或更正该参数后再调用", "complete or correct the parameter, then call again")
_PERSON: Final = ("与患者核对姓名、证件类型和证件号码", "check name, document type and ID number with the patient")
_CARD_EXISTS: Final = (
    "此人已有电子健康卡：请用授权码或二维码获取原卡，不要再次申请",
    "the person has a card: get it by health code or QR text, and do not apply again",
)
_NEW_TOKEN: Final = (
    "重新获取 appToken 后再调用；同一 appId 只能有一处获取",
    "fetch a new appToken and call again; one place for each appId may fetch them",
)
_OTHER_INTERFACE: Final = (
    "文档 3.2 的接口没有这个参数：请把 requestId 交给平台对接人员",
    "no interface of document 3.2 has this parameter: give the requestId to the platform's staff",
)

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "result_code.0": ("已受理", "accepted"),
    "result_code.1": _SUPPORT,
    "result_code.-1": _SUPPORT,
    "result_code.-2": _SUPPORT,
    "result_code.10001": _SUPPORT,
    "result_code.10002": _INPUT,
    "result_code.10003": _INPUT,
    "result_code.10004": _OTHER_INTERFACE,
    "result_code.10005": _SUPPORT,
    "result_code.10006": _INPUT,
    "result_code.10007": _INPUT,
    "result_code.10008": (
        "授权码只能用一次且很快失效：让用户重新选择健康卡（2.4.5 的跳转链接）",
        "a health code is good for one use and a short time: let the user choose the card again (link of 2.4.5)",
    ),
    "result_code.10009": (
        "授权码须按跳转回来的原文提交，不要截断或改写",
        "send the health code exactly as the redirect brought it",
    ),
    "result_code.10010": (
        "微信身份码只能用一次且很快失效：让用户重新进入建卡页面（2.3.5 的跳转链接）",
        "a wechatCode is good for one use and a short time: let the user open the page again (link of 2.3.5)",
    ),
    "result_code.10011": (
        "微信身份码须按跳转回来的原文提交；批量注册用平台提供的离线微信身份码",
        "send the wechatCode exactly as the redirect brought it; a batch takes the offline one that the platform gives",
    ),
    "result_code.10012": _INPUT,
    "result_code.10013": _INPUT,
    "result_code.10014": _INPUT,
    "result_code.10015": _PERSON,
    "result_code.-10017": (
        "卡暂时取不到（可能已冻结或注销）：稍后再试，仍不行请患者在电子居民健康卡小程序中查看",
        "the card cannot be had now, it may be frozen: try later, or let the patient look into the card's mini program",
    ),
    "result_code.10018": _INPUT,
    "result_code.-10019": (
        "平台没有这张卡：核对二维码文本或健康卡 ID 是否完整",
        "the platform has no such card: see that QR text or card id is complete",
    ),
    "result_code.10020": (
        "二维码文本不完整，或动态码已过期：请患者刷新二维码后重新扫描",
        "the QR text is incomplete, or a dynamic one has expired: let the patient refresh it and scan again",
    ),
    "result_code.10021": (
        "授权码校验异常：让用户重新选择健康卡",
        "the health code could not be checked: let the user choose the card again",
    ),
    "result_code.-10022": _CARD_EXISTS,
    "result_code.-10023": _CARD_EXISTS,
    "result_code.-10024": (
        "核对终端 ID 是否与平台登记的一致",
        "see that the terminal's id is the one registered with the platform",
    ),
    "result_code.-10025": _INPUT,
    "result_code.-10026": _PERSON,
    "result_code.-10027": _PERSON,
    "result_code.-10028": (
        "主索引与证件号码重复：请平台对接人员核查该患者",
        "main index and ID number collide: let the platform's staff look into this patient",
    ),
    "result_code.-10029": _SUPPORT,
    "result_code.10030": (
        "该患者还没有电子健康卡：先注册",
        "the patient has no card yet: register first",
    ),
    "result_code.-10031": (
        "卡已冻结或注销，不能绑定：请患者在电子居民健康卡小程序中处理",
        "the card is frozen or cancelled: the patient settles that in the card's mini program",
    ),
    "result_code.-10032": _CARD_EXISTS,
    "result_code.10033": _INPUT,
    "result_code.10034": (
        "今天的次数已用完（未上线医院每个接口每天 100 次）：次日自动恢复，或申请上线",
        "today's calls are used up (100 a day and interface while not live): on again tomorrow, or go live",
    ),
    "result_code.10035": _OTHER_INTERFACE,
    "result_code.10036": _OTHER_INTERFACE,
    "result_code.10037": (
        "requestId 不超过 512 字节，建议用 UUID",
        "a requestId has 512 bytes at most: take a UUID",
    ),
    "result_code.-10038": _SUPPORT,
    "result_code.-10039": (
        "照片认不出：重拍身份证正面，四角完整、无反光",
        "the picture cannot be read: take the front again, all corners visible, without glare",
    ),
    "result_code.-10040": (
        "图片须为 PNG 或 JPEG 的 Base64，去掉 data:image 头部，压缩到百 K 级别",
        "a PNG or JPEG in Base64 without data:image header, some hundred kilobytes",
    ),
    "result_code.10041": _INPUT,
    "result_code.10042": _INPUT,
    "result_code.10043": _INPUT,
    "result_code.-10044": _SUPPORT,
    "result_code.10048": _SUPPORT,
    "result_code.10050": _OTHER_INTERFACE,
    "result_code.10051": (
        "日期写作 yyyy-MM-dd，时间写作 yyyy-MM-dd HH:mm:ss",
        "dates are yyyy-MM-dd, times yyyy-MM-dd HH:mm:ss",
    ),
    "result_code.10053": (
        "订单只能用一次：重新获取 orderId",
        "an order is good for one use: fetch another orderId",
    ),
    "result_code.10054": (
        "同一 requestId 已提交过：用卡和注册以上一次为准，查询换新的 requestId",
        "this requestId was sent before: a use or registration stands as it was, a query takes a new id",
    ),
    "result_code.10055": _OTHER_INTERFACE,
    "result_code.10056": _PERSON,
    "result_code.10057": (
        "一个微信号最多绑定 5 张卡：请用户在电子居民健康卡小程序中解绑",
        "an account holds five cards at most: the user unbinds one in the card's mini program",
    ),
    "result_code.-110086": _SUPPORT,
    "result_code.20000": (
        "鉴权失败：核对 appId、appSecret，并在开放配置的 IP 白名单中添加本服务器的公网 IP",
        "check appId and appSecret, and add this server's public address to the platform's IP allow-list",
    ),
    "result_code.20001": (
        "请求须为 UTF-8 的 JSON，且 Content-Type 写明 charset=utf-8；字段均为文本",
        "JSON in UTF-8 with charset=utf-8 in the Content-Type; fields are texts",
    ),
    "result_code.20002": _INPUT,
    "result_code.20003": _SUPPORT,
    "result_code.20004": ("缩短过长的参数；图片压缩到百 K 级别", "shorten what is too long; compress the picture"),
    "result_code.21001": _NEW_TOKEN,
    "result_code.21002": (
        "在开放平台核对 appId 和 appSecret（连接的登录和密码）",
        "compare appId and appSecret with the platform's website (login and password of the connection)",
    ),
    "result_code.21003": _NEW_TOKEN,
    "result_code.21004": (
        "核对医院文件中的 hospital_id；编号无误则是 appToken 被别处替换，找出另一处使用同一 appId 的系统",
        "check hospital_id in the hospital's file; if it is right, another system with this appId replaced the token",
    ),
    "result_code.21005": (
        "该医院没有授权给此 appId：请医院在开放平台扫码授权",
        "the hospital has not authorized this appId: let it scan and authorize on the platform",
    ),
    "result_code.21006": (
        "签名错误：核对 appSecret；用 platform sign 查看签名原文",
        "check appSecret; `platform sign` shows the text that was signed",
    ),
    "result_code.21007": (
        "调用过于频繁：降低 requests_per_second 或 concurrency",
        "too many calls: lower requests_per_second or concurrency",
    ),
}
