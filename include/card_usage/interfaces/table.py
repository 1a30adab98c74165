"""Table: the eleven interfaces of document 3.2, each declared once.

From it come the paths that are called, the requests' validation, the reading of answers, docs/interfaces.md and the
test matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from card_usage.interfaces.declaration import Interface, Message, Repetition, Request
from card_usage.interfaces.messages import (
    AppToken,
    BatchAnswer,
    BindCardRelation,
    Bound,
    CardAnswer,
    DynamicQrCode,
    GetAppToken,
    GetDynamicQrCode,
    GetHealthCardByHealthCode,
    GetHealthCardByQrCode,
    GetOrderIdByOutAppId,
    OcrAnswer,
    OcrInfo,
    OrderId,
    RegisterBatchHealthCard,
    RegisteredCard,
    RegisterHealthCard,
    Reported,
    ReportHisData,
    VerifiedCard,
    VerifyQrCode,
)

_AUTH: Final = "/rest/auth/HealthCard/HealthOpenAuth/AuthObj/"
_OPEN: Final = "/rest/auth/HealthCard/HealthOpenPlatform/ISVOpenObj/"

UNASSIGNED_CODES: Final = (10004, 10035, 10036, 10050, 10055)
"""Codes of 3.2.12 for which no interface of 3.2 has a field (uid, 业务流水号, 消息推送时间, 开始日期, 模板 ID)."""

_VERIFICATION: Final = (10013, 10014, 10015, -10025, -10026, -10027, -10038, 10043, 10051, 10056)
_REGISTRATION: Final = (*_VERIFICATION, 10012, -10022, -10023, -10028, -10029, -10032, 10048, 10057)


def _declare(
    kind: type[Request[Any]],
    zh: str,
    number: int,
    response: type[Message],
    repetition: Repetition,
    *,
    own_codes: tuple[int, ...] = (),
    flows: tuple[str, ...] = (),
    notes: tuple[tuple[str, str], ...] = (),
    path: str = _OPEN,
) -> Interface:
    return Interface(
        name=kind.interface,
        zh=zh,
        section=f"3.2.{number}",
        path=path + kind.interface,
        flows=flows,
        request=kind,
        response=response,
        own_codes=own_codes,
        repetition=repetition,
        notes=notes,
    )


_DECLARED: Final = (
    _declare(
        GetAppToken,
        "获取接口调用凭证",
        1,
        AppToken,
        Repetition.NEW_ID,
        path=_AUTH,
        notes=(
            (
                "每次调用都会使旧 appToken 失效：同一 appId 只能有一处获取",
                "every call kills the token before it: one place for each appId may ask",
            ),
        ),
    ),
    _declare(
        RegisterHealthCard,
        "注册健康卡",
        2,
        RegisteredCard,
        Repetition.NEW_CODE,
        own_codes=(*_REGISTRATION, 10010, 10011),
        flows=("new-card",),
        notes=(
            (
                "同一身份证重复建卡返回首次注册的卡，资料以首次为准（FAQ 5）",
                "who has a card gets it back; what was given first stays (FAQ 5)",
            ),
        ),
    ),
    _declare(
        GetHealthCardByHealthCode,
        "通过健康卡授权码获取健康卡",
        3,
        CardAnswer,
        Repetition.NEW_CODE,
        own_codes=(10007, 10008, 10009, -10017, -10019, 10021),
        flows=("new-card", "known-card"),
    ),
    _declare(
        GetHealthCardByQrCode,
        "通过健康卡二维码获取健康卡",
        4,
        CardAnswer,
        Repetition.NEW_ID,
        own_codes=(-10017, 10018, -10019, 10020),
        flows=("scan",),
    ),
    _declare(
        OcrInfo,
        "OCR",
        5,
        OcrAnswer,
        Repetition.NEW_ID,
        own_codes=(-10039, -10040, 10041),
        flows=("new-card",),
    ),
    _declare(
        BindCardRelation,
        "绑定健康卡和院内 ID 关系",
        6,
        Bound,
        Repetition.NEW_ID,
        own_codes=(10018, -10019, 10020, -10031, 10033),
        flows=("new-card", "known-card"),
        notes=(
            (
                "以最近一次提交为准（2.3.2 第 6 步），重复提交相同内容无害；rsp.result 为 false 时没有绑定",
                "the latest binding counts (2.3.2, step 6), the same one again does no harm; `result` false: not bound",
            ),
        ),
    ),
    _declare(
        ReportHisData,
        "用卡数据监测",
        7,
        Reported,
        Repetition.SAME_ID,
        own_codes=(10013, 10014, 10018, 10051),
        flows=("scan",),
        notes=(
            (
                "文档自相矛盾之处及做法见 docs/rules.md",
                "where the document contradicts itself, and what is done: docs/rules.md",
            ),
        ),
    ),
    _declare(
        GetOrderIdByOutAppId,
        "获取卡包订单 ID",
        8,
        OrderId,
        Repetition.NEW_ID,
        own_codes=(10018, -10019, 10020, 10030, 10053),
        flows=("card-package",),
        notes=(
            (
                "orderId 一经使用即刻失效；领卡页面的跳转 URL 文档没有给出，在开放平台的卡包配置中查看",
                "an orderId is good for one use; the document lacks the page's URL, the platform's settings show it",
            ),
        ),
    ),
    _declare(
        RegisterBatchHealthCard,
        "注册批量健康卡",
        9,
        BatchAnswer,
        Repetition.SAME_ID,
        own_codes=(*_REGISTRATION, 10033),
        flows=("batch",),
        notes=(
            (
                "逐项结果只有二维码文本：为空即未注册，没有原因代码；每批人数文档没有规定",
                "an item that failed has an empty QR text and no code; the document sets no number a batch",
            ),
            (
                "10054 表示这一批已经执行，但逐项结果已丢失：可用新的 requestId 再提交，已有卡的人返回原卡",
                "10054: the batch was carried out and its items are lost; under a new id everybody gets his card again",
            ),
        ),
    ),
    _declare(
        GetDynamicQrCode,
        "获取动态二维码",
        10,
        DynamicQrCode,
        Repetition.NEW_ID,
        own_codes=(10006, 10014, -10017, -10019, -10026, -10027, 10030),
        flows=("new-card", "batch", "scan"),
    ),
    _declare(
        VerifyQrCode,
        "动态二维码校验",
        11,
        VerifiedCard,
        Repetition.SAME_ID,
        own_codes=(-10017, 10018, -10019, 10020, -10024, -10026, -10027, 10051, 10056),
        flows=("scan",),
        notes=(
            (
                "此接口本身计一次用卡，不得再用 reportHISData 上报同一次用卡",
                "it counts a card use by itself: the same use must not be reported by reportHISData",
            ),
            (
                "文档印的主机为 thealthopen.tengmed.com、路径为 ISVOpen0bj（数字 0）：按其余接口的写法调用",
                "the document prints another host, thealthopen.tengmed.com, and ISVOpen0bj: called like the other ten",
            ),
            (
                "示例中的 channelCode、channelName 表中没有，不发送",
                "channelCode and channelName of the sample are not in the table and are not sent",
            ),
        ),
    ),
)

INTERFACES: Final[Mapping[str, Interface]] = MappingProxyType({each.name: each for each in _DECLARED})
"""Every interface by its name, in the document's order."""


def interface_of(request: Request[Any]) -> Interface:
    """The interface that a request is for."""
    return INTERFACES[request.interface]
