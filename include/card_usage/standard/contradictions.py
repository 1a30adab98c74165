"""Contradictions: where the document contradicts itself or newer copies of it, and the settings that answer it.

Printed in docs/rules.md, below the rules.
"""

from typing import Final

_SETTINGS: Final = (
    (
        "`also_send`",
        "`department`、`cardCostTypes`、`idCardNumber`、`name`、`qrCodeText`",
        (
            "规则不要求、但知道就报的字段：`department`、`cost_type`、`id_number`、`name`、`qr_code_text`。"
            '默认只有不涉及患者的代码：v2.1 为 `["department"]`，current 为 `["department", "cost_type"]`；'
            "`[]` 只报规则要求的字段"
        ),
        (
            "fields that are sent where they are known although no rule requires them. By default only codes, which "
            "name no patient; `[]`: nothing but what a rule requires"
        ),
    ),
    (
        "`department_format`",
        "`department`",
        "`name` 标准名称（默认，同文档示例）；`code` 标准代码；`his_name` 院内名称",
        "standard name (the default, as in the document's sample), standard code, or the HIS's own name",
    ),
    (
        "`channel_format`",
        "`cardChannel`",
        "`code` 代码（默认，表 3.3.3）；`name` 名称（同文档示例）",
        "code (the default, table 3.3.3), or name, as in the document's sample",
    ),
    (
        "`hospital_id`",
        "`hospitalId`、`hospitalCode`",
        "两者同值；`hospitalCode` 仅 profile = current",
        "the same in both; `hospitalCode` in profile current only",
    ),
    (
        "`sub_hospital_code`",
        "`subHospitalCode`",
        "院区；V2.1 之后的文档，不写则不报",
        "a campus; of newer documents, left out while it is not set",
    ),
    (
        "`channel_num`",
        "`channelNum`",
        "公共参数 commonIn；V2.1 之后的文档（0 服务号、1 小程序、3 刷脸终端、4 扫码终端），不写则不带",
        (
            "of commonIn in newer documents (0 service account, 1 mini program, 3 face terminal, 4 scanner), left out "
            "while it is not set"
        ),
    ),
)
"""Setting of [platform], parameters, and what it says, in Chinese and English."""

_AFTER_A_CHANGE: Final = (
    "设置改动后：结果未知的记录仍按首次发出的内容重发，其余待报记录按新设置；已上报的记录不因此算作“上报后有改动”"
    "（改 `profile`，或改用、停用 `his_name` 除外）。 / After a change of settings an event whose outcome is unknown "
    "goes as it first went, every other one that waits by the new settings; none that was sent counts as changed for "
    "that, but by another `profile`, or to and from `his_name`."
)

_CONTRADICTIONS: Final = (
    (
        "`idCardNumber`",
        "2.7.4 与 3.2.7 的表为 `idCardNumber`，3.2.7 的示例写 `idCard`（3.2.11 用的是 `idCard`）",
        "`idCardNumber` in the tables of 2.7.4 and 3.2.7, `idCard` in the sample of 3.2.7 (3.2.11 has `idCard`)",
        "按表 as the tables: `idCardNumber`",
    ),
    (
        "`department`",
        "“参考标准科室表”，但文档没有这张表；示例为名称“内科”",
        "'see the table of standard departments', which the document does not have; its sample has a name, 内科",
        "`department_format`",
    ),
    (
        "`cardChannel`",
        "说明与示例为名称（服务号、app、窗口等），附录 3.3.3 为代码，app 归入 0000 其他",
        "names in its description and sample (服务号, app, 窗口), codes in 3.3.3, where app is 0000, others",
        "`channel_format`",
    ),
    (
        "`cardCostTypes`",
        "附录 3.3.4 有费别表，V2.1 没有任何接口有这个参数",
        "3.3.4 has a table of cost types, no interface of V2.1 a parameter for it",
        "`profile`，`also_send`",
    ),
    (
        "`qrCodeText`",
        "证件类型不是健康卡时非必填，3.2.7 的示例（证件类型 01）却带二维码",
        "not required but for health cards, yet in the sample of 3.2.7, whose card type is 01",
        "默认不报 not sent by default: `also_send`",
    ),
    (
        "`requestId`",
        "FAQ 2 要求每次请求不同，10054 却只有同号重发才会出现；3.1.2 的示例只有 31 位",
        "FAQ 2 wants another one for each call, 10054 answers the same one; the sample of 3.1.2 has 31 digits",
        "docs/delivery.md",
    ),
    (
        "`sign`",
        "3.1.3 的参数写作 `appId` 又写作 `appid`；印出的签名有一个字母误认（hM1R 应为 hMlR）",
        "`appId` and `appid` in 3.1.3; one letter of the printed signature is misread (hM1R is hMlR)",
        "`appId`",
    ),
)
"""Parameter, what the document says, in Chinese and English, and what is done."""


def lines() -> list[str]:
    """The sections of docs/rules.md about settings and contradictions."""
    return [
        "## 上报哪些字段、怎样写 / What is sent, and how",
        "",
        "医院文件 `[platform]` 中的设置。 / Settings in `[platform]` of the hospital's file.",
        "",
        "| 设置 Setting | 参数 Parameter | 说明 | Meaning |",
        "|---|---|---|---|",
        *map(_row, _SETTINGS),
        "",
        _AFTER_A_CHANGE,
        "",
        "## 文档自相矛盾之处 / Where the document contradicts itself",
        "",
        "| 参数 Parameter | 文档 V2.1 | The document | 做法 What is done |",
        "|---|---|---|---|",
        *map(_row, _CONTRADICTIONS),
    ]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
