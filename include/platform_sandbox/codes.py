"""Code tables of the platform's document as it prints them: 3.3.1 to 3.3.4, and the result codes of 3.2.12 given here.

The sandbox's own copy on purpose: the pipeline has another, and each would show an error in the other.
"""

from typing import Final

# 用卡环节 (3.3.1)
SCENES: Final[dict[str, str]] = {
    "010101": "挂号",
    "0101011": "预约挂号",
    "0101012": "当日挂号",
    "0101013": "挂号记录",
    "0101014": "预约导诊",
    "0101015": "当日取号",
    "010102": "诊断",
    "0101021": "排队候诊",
    "0101022": "门诊记录",
    "0101023": "病历打印",
    "010103": "取药",
    "0101031": "取药记录",
    "010104": "检查",
    "0101041": "预约检查",
    "0101042": "预约检查记录",
    "010105": "收费",
    "0101051": "门诊缴费",
    "0101052": "门诊缴费记录",
    "0101053": "住院缴费",
    "0101054": "住院缴费记录",
    "0101055": "门诊充值",
    "0101056": "住院充值",
    "010106": "开方",
    "010108": "取（查询）报告",
    "0101081": "取（查询）检查报告",
    "0101082": "取（查询）检验报告",
    "0101083": "取（查询）体检报告",
    "010109": "住院登记",
    "00000": "其他",
    "00001": "便民服务",
    "00002": "孕期保健",
    "00003": "儿童保健",
    "00004": "家庭医生",
    "00005": "在线问诊",
    "00006": "计划免疫",
    "00007": "个人信息",
}

# 证件类型 (3.3.2)
CARD_TYPES: Final[dict[str, str]] = {
    "01": "居民身份证",
    "02": "居民户口簿",
    "03": "护照",
    "04": "军官证",
    "05": "驾驶证",
    "06": "港澳居民来往内地通行证",
    "07": "台湾居民来往内地通行证",
    "08": "出生医学证明",
    "09": "医保卡",
    "10": "就诊卡",
    "11": "健康卡",
    "99": "其他法定有效证件",
}
HEALTH_CARD: Final = "11"

# 用卡渠道 (3.3.3)
CHANNELS: Final[dict[str, str]] = {
    "0100": "人工窗口",
    "0200": "自助机",
    "0300": "医生工作台",
    "0400": "微信渠道",
    "0401": "服务号",
    "0402": "小程序",
    "0000": "其他",
}

# 用卡费别 (3.3.4)
COST_TYPES: Final[dict[str, str]] = {"0100": "自费", "0200": "医保", "0300": "公费", "0000": "其他"}

# 3.2.7: these scenes need a department (挂号, 预约挂号, 当日挂号).
DEPARTMENT_SCENES: Final = frozenset({"010101", "0101011", "0101012"})

# Not in V2.1: newer copies of the document ask for a cost type in these scenes, and know these values of channelNum.
COST_TYPE_SCENES: Final = frozenset({"010105", "0101051", "0101053"})
CHANNEL_NUMBERS: Final = frozenset({"0", "1", "3", "4"})

# 全局返回码 (3.2.12), those that the sandbox can give. The sample answers say 成功 for 0.
RESULTS: Final[dict[int, str]] = {
    0: "成功",
    1: "适配平台出错",
    -1: "卡管平台异常",
    -2: "HTTP 服务异常",
    10001: "发生了异常",
    10002: "请求参数 req 不能为空",
    10003: "请求参数 commonIn 不能为空",
    10005: "数据库错误",
    10013: "姓名不能为空",
    10014: "证件号不能为空",
    10018: "二维码不能为空",
    10034: "接口调用次数限制",
    10037: "requestId 字段长度超出限制（512byte）",
    10042: "参数错误",
    -10044: "卡管平台返回错误",
    10051: "日期格式错误",
    10054: "重复请求",
    20001: "参数格式错误",
    20002: "无效参数",
    20003: "业务服务响应格式错误",
    20004: "请求参数过长",
    21001: "appToken 不能为空",
    21002: "非法 appId 或 appSecret",
    21003: "appToken 超时",
    21004: "非法 appToken 或 hospitalId",
    21005: "无权操作该医院 ID",
    21006: "签名错误",
    21007: "接口调用被限制",
}

# What the fault `busy` draws from: codes by which the platform says that it, not the caller, has a problem.
BUSY: Final = (-1, -2, 1, 10001, 10005, -10044, 20003)
