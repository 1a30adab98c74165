"""What the platform's result codes ask for (document 3.2.12), and what `platform check` says."""

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
    "result_class.accepted": ("已受理", "accepted"),
    "result_class.repeated": ("同一 requestId 已提交过", "this requestId was sent before"),
    "result_class.token": _NEW_TOKEN,
    "result_class.busy": _SUPPORT,
    "result_class.quota": ("今天的次数已用完，次日自动恢复", "today's calls are used up, on again tomorrow"),
    "result_class.throttled": ("调用过于频繁，降低并发", "too many calls, lower concurrency"),
    "result_class.refused": _INPUT,
    "result_class.misconfigured": (
        "核对连接和医院文件中的平台设置",
        "check the platform's settings in connection and hospital file",
    ),
    "result_class.unlisted": _SUPPORT,
    "platform_check.reach.ok": ("平台可以连接：{host}", "the platform answers: {host}"),
    "platform_check.reach.missing": (
        "平台 {host} 连接不上（{reason}）：检查网络、DNS、防火墙、代理，以及开放配置的 IP 白名单",
        "the platform at {host} does not answer ({reason}): check network, DNS, firewall, proxy and the IP allow-list",
    ),
    "platform_check.tls.ok": (
        "HTTPS 证书有效，还有 {days} 天到期（{version}）",
        "the certificate is valid for {days} more days ({version})",
    ),
    "platform_check.tls.warn": (
        "HTTPS 证书还有 {days} 天到期（{version}）：提醒平台对接人员",
        "the certificate expires in {days} days ({version}): tell the platform's staff",
    ),
    "platform_check.tls.missing": (
        "HTTPS 证书通不过校验（{reason}）：核对连接中的地址，检查是否有代理替换证书",
        "the certificate is not accepted ({reason}): check the address, and whether a proxy replaces certificates",
    ),
    "platform_check.tls.gateway.warn": (
        "经院内网关 {gateway} 以 http 上报（医院文件 [platform] gateway）：到网关为止是明文",
        "calls go by plain http to the gateway {gateway} ([platform] gateway): patient data in clear until there",
    ),
    "platform_check.tls.none.missing": (
        "连接用的是 http，已上线的医院不得明文上报：改为 https，或在医院文件 [platform] gateway 写明院内网关",
        "a live hospital does not report by plain http: write https, or name a gateway of yours in [platform] gateway",
    ),
    "platform_check.tls.none.warn": (
        "连接用的是 http，患者信息明文传输：除演练外必须改为 https",
        "the connection is plain http, patient data in clear: https for everything but rehearsals",
    ),
    "platform_check.clock.ok": ("与平台时钟相差 {seconds} 秒", "our clock and the platform's differ by {seconds} s"),
    "platform_check.clock.warn": (
        "与平台时钟相差 {seconds} 秒：签名时间戳可能被拒，请校准本机时间（NTP）",
        "our clock and the platform's differ by {seconds} s: timestamps may be refused, set the clock (NTP)",
    ),
    "platform_check.clock.unknown.warn": (
        "平台的应答没有 Date 头，无法比较时钟",
        "the platform's answers carry no Date header: clocks cannot be compared",
    ),
    "platform_check.token.ok": (
        "appToken 有效（appId 和 appSecret 正确）",
        "the appToken is valid (appId and appSecret are right)",
    ),
    "platform_check.token.missing": (
        "取不到 appToken：{meaning}（{code}）。{advice}",
        "no appToken: {meaning} ({code}). {advice}",
    ),
    "platform_check.allowed.missing": (
        "平台拦截了本机（{reason}）：在开放配置的 IP 白名单中添加本服务器的公网 IP",
        "the platform turns this server away ({reason}): add its public address to the IP allow-list",
    ),
    "platform_check.gate.ok": (
        "签名、appToken 和 hospital_id {hospital_id} 均被接受，本机地址未被拦截",
        "signature, appToken and hospital_id {hospital_id} are accepted, and this server's address is let in",
    ),
    "platform_check.gate.missing": (
        "hospital_id {hospital_id} 的调用被拒：{meaning}（{code}）。{advice}",
        "calls for hospital_id {hospital_id} are refused: {meaning} ({code}). {advice}",
    ),
    "platform_check.gate.warn": (
        "调用没有得到明确应答（{meaning}）：稍后再检查",
        "the call was not clearly answered ({meaning}): check again later",
    ),
    "platform_check.gate.spent.warn": (
        "今天的检查次数已用完，未再调用：次日再检查",
        "today's calls are used up, so none was made: check again tomorrow",
    ),
    "platform_check.connection.warn": (
        "连接 {connection} 未设置，平台一侧没有检查",
        "connection {connection} is not set: the platform was not checked",
    ),
    "platform_check.connection.missing": (
        "连接 {connection} 不能用：{problem}",
        "connection {connection} cannot be used: {problem}",
    ),
    "platform_check.good": ("平台检查通过", "the platform can be used"),
    "platform_check.bad": (
        "还有 {count} 项不通过，处理后再检查一次",
        "{count} things are wrong: mend them and check again",
    ),
    "platform_check.quota.live.ok": ("医院已上线，调用次数不限", "the hospital is live: calls are not limited"),
    "platform_check.quota.ok": (
        "未上线，今天各接口已用：{used}（每接口每天 {limit} 次）",
        "not live; used today: {used} (of {limit} a day and interface)",
    ),
    "platform_check.quota.warn": (
        "未上线，今天次数已用完的接口：{used}（每接口每天 {limit} 次），次日恢复",
        "not live; used up today: {used} (of {limit} a day and interface), on again tomorrow",
    ),
    "platform_call.answer": ("结果: {answer}，{code} {meaning}", "result: {answer}, {code} {meaning}"),
    "platform_call.advice": ("怎么办: {advice}", "what to do: {advice}"),
    "platform_call.new_id": (
        "没有应答，可能已执行：可用新的 requestId 再调用，结果相同",
        "no answer, it may have been carried out: call again under a new requestId, it comes to the same",
    ),
    "platform_call.new_code": (
        "没有应答，可能已执行：用新的 requestId 再调用；若一次性码已用掉，先重新获取",
        "no answer, it may have been carried out: again under a new requestId, with a new one-time code if it is spent",
    ),
    "platform_call.same_id": (
        "没有应答，可能已执行：只能加 --request-id {request_id} 再调用，换 requestId 会重复计数",
        "no answer, it may have been carried out: call again with --request-id {request_id} only, another counts twice",
    ),
    "platform_sign.text": ("签名原文(排序+secret): {text}", "text to be signed (sorted, secret appended): {text}"),
    "platform_sign.sign": ("签名: {sign}", "signature: {sign}"),
    "platform_sign.right": ("与请求中的 sign 一致", "the call's sign is this one"),
    "platform_sign.wrong": ("请求中的 sign 不对：{why}", "the call's sign is wrong: {why}"),
    "platform_sign.unknown": (
        "请求中的 sign 不对，也不是常见错误：核对 appSecret，并与对方逐字比较签名原文（含空格和编码）",
        "the call's sign is wrong, by no common mistake: check appSecret, and compare the texts character by character",
    ),
    "sign_mistake.no_secret": ("没有拼接 appSecret", "the appSecret was not appended"),
    "sign_mistake.secret_joined": ("appSecret 前多了 &", "there is an & before the appSecret"),
    "sign_mistake.secret_first": (
        "appSecret 拼在了前面，应在最后",
        "the appSecret stands first, it belongs at the end",
    ),
    "sign_mistake.spaces_in_secret": ("appSecret 后多了空格", "there is a space after the appSecret"),
    "sign_mistake.newline_after_secret": ("appSecret 后多了换行", "there is a line break after the appSecret"),
    "sign_mistake.hex": (
        "用了十六进制，应对 SHA-256 的字节直接做 Base64",
        "hexadecimal was taken instead of Base64 of the SHA-256 bytes",
    ),
    "sign_mistake.hex_in_base64": (
        "对十六进制文本做了 Base64，应对字节做",
        "Base64 was made of the hexadecimal text instead of the bytes",
    ),
    "sign_mistake.trailing_ampersand": (
        "原文末尾多了 &：排序最后的参数为空（Java 示例如此），请不要发送空参数",
        "the text ends with &: the last parameter is empty (the Java sample does so); send no empty parameters",
    ),
    "sign_mistake.without_req": ("只签了 commonIn，缺少 req 的参数", "commonIn alone was signed, without req"),
    "sign_mistake.without_common": ("只签了 req，缺少 commonIn 的参数", "req alone was signed, without commonIn"),
    "sign_mistake.without_token": ("签名时没有 appToken", "appToken was not signed"),
    "sign_mistake.with_sign": ("sign 本身不参与签名", "sign itself takes no part"),
    "sign_mistake.empty_signed": ("空值参数不参与签名", "empty parameters take no part"),
    "sign_mistake.unsorted": ("参数没有排序", "the parameters are not sorted"),
    "sign_mistake.sorted_without_case": (
        "排序时忽略了大小写，应按字符编码（大写在前）",
        "sorted without regard to case; capitals come first",
    ),
    "sign_mistake.nested_unsorted": (
        "嵌套 JSON 的键没有排序（C# 示例靠 SortedDictionary 排序）",
        "the keys of nested JSON are not sorted (the C# sample leaves that to SortedDictionary)",
    ),
    "sign_mistake.nested_with_spaces": (
        "嵌套 JSON 带了空格，应为紧凑格式",
        "nested JSON has spaces, it is to be compact",
    ),
    "sign_mistake.nested_escaped": (
        "嵌套 JSON 的中文被转义为 \\uXXXX，应保留原字符",
        "Chinese in nested JSON was escaped as \\uXXXX, it stays as it is",
    ),
    "sign_mistake.csharp_booleans": (
        "布尔值写成了 True/False（C# 的写法），应为 true/false",
        "booleans were written True and False as C# does, they are true and false",
    ),
    "sign_mistake.encoded": ("参数值做了 URL 编码，应使用原文", "values were URL-encoded, they are signed as they are"),
    "sign_mistake.gbk": ("签名原文用了 GBK 编码，应为 UTF-8", "the text was encoded in GBK instead of UTF-8"),
}
