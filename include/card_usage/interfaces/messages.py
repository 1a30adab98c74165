"""Messages: the requests and answers of every interface (document 3.2.1 to 3.2.11), typed and frozen."""

from __future__ import annotations

from typing import ClassVar, Final

from card_usage.interfaces.declaration import Condition, Form, Message, Request, message, wire

REGISTRATION_SCENES: Final = frozenset({"010101", "0101011", "0101012"})
CHARGE_SCENES: Final = frozenset({"010105", "0101051", "0101053"})
HEALTH_CARDS: Final = frozenset({"11"})
OTHER_DOCUMENTS: Final = frozenset({"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "99"})

GENDERS: Final = ("男", "女")
ITEMS_A_BATCH: Final = 200
"""Most patients of one registerBatchHealthCard: the document sets no number; their answer fits into what is read."""

NAME: Final = 100
NUMBER: Final = 32
QR_TEXT: Final = 512
ADDRESS: Final = 200
PHONE: Final = 20
KEY: Final = 64
LINK: Final = 512
IMAGE: Final = 400_000
"""Longest texts, in characters. The document sets none but 百 K 级别 for an image: these limits are ours."""


@message
class GetAppToken(Request["AppToken"]):
    """3.2.1: a new appToken; the old one dies with it."""

    interface: ClassVar[str] = "getAppToken"
    app_id: str = wire("服务号开发商用户凭证", missing=21002, limit=KEY)


@message
class AppToken(Message):
    """3.2.1: the token and its life in seconds."""

    app_token: str = wire("接口调用凭证", patient=True, vital=True)  # no patient's, and just as little to be shown
    expires_in: int = wire("凭证有效时间", form=Form.NUMBER, default=7200)


@message
class RegisterHealthCard(Request["RegisteredCard"]):
    """3.2.2: register one person, whose identity the platform verifies (核身); an existing card is returned."""

    interface: ClassVar[str] = "registerHealthCard"
    wechat_code: str = wire("微信身份码", missing=10012, limit=KEY, note="一次性；2.3.5 的跳转链接")
    name: str = wire("姓名", missing=10013, limit=NAME, patient=True)
    gender: str = wire("性别", missing=-10025, values=GENDERS, patient=True)
    nation: str = wire("民族", missing=-10025, limit=KEY, patient=True, note="汉族、满族等")
    birthday: str = wire("出生年月日", form=Form.DATE, patient=True)
    id_number: str = wire(
        "证件号码", missing=10014, form=Form.ID_NUMBER, of="id_type", limit=NUMBER, wrong=-10026, patient=True
    )
    id_type: str = wire("证件类型", missing=-10025, table="card_type")
    address: str = wire("地址", default="", limit=ADDRESS, patient=True)
    phone1: str = wire("联系方式1", missing=10043, limit=PHONE, patient=True)
    phone2: str = wire("联系方式2", default="", limit=PHONE, patient=True)
    patid: str = wire("院内 ID", default="", limit=KEY, patient=True)


@message
class RegisteredCard(Message):
    """3.2.2: the card. With a static QR text there is no health_card_id: qr_texts.card_id takes it from the text."""

    qr_code_text: str = wire("二维码文本", patient=True, vital=True)
    health_card_id: str = wire("健康卡 ID", default="", patient=True)
    phid: str = wire("健康卡主索引", patient=True)
    admin_ext: str = wire("扩展字段", patient=True)


@message
class GetHealthCardByHealthCode(Request["CardAnswer"]):
    """3.2.3: the card that a user chose on the platform's page."""

    interface: ClassVar[str] = "getHealthCardByHealthCode"
    health_code: str = wire("健康卡授权码", missing=10007, limit=KEY, note="一次性；2.4.5 的跳转链接")


@message
class GetHealthCardByQrCode(Request["CardAnswer"]):
    """3.2.4: the card behind a scanned QR text."""

    interface: ClassVar[str] = "getHealthCardByQRCode"
    qr_code_text: str = wire("二维码文本", missing=10018, limit=QR_TEXT, patient=True)


@message
class Card(Message):
    """3.2.3, 3.2.4: a card and its holder."""

    qr_code_text: str = wire("二维码文本", patient=True, vital=True)
    name: str = wire("姓名", patient=True)
    gender: str = wire("性别", patient=True)
    nation: str = wire("民族", patient=True)
    birthday: str = wire("出生年月日", default="", patient=True)
    id_number: str = wire("证件号码", patient=True)
    id_type: str = wire("证件类型")
    address: str = wire("地址", default="", patient=True)
    phone1: str = wire("联系方式1", patient=True)
    phone2: str = wire("联系方式2", default="", patient=True)
    phid: str = wire("健康卡主索引", patient=True)
    patid: str = wire("院内 ID", default="", patient=True, note="根据 commonIn 的 hospitalId 返回")
    health_card_id: str = wire("健康卡 ID", default="", patient=True, note="二维码为动态时有值")
    admin_ext: str = wire("扩展字段", patient=True)


@message
class CardAnswer(Message):
    """3.2.3, 3.2.4: one card."""

    card: Card = wire("健康卡数据", form=Form.OBJECT, message=Card, vital=True)


@message
class OcrInfo(Request["OcrAnswer"]):
    """3.2.5: read the front of a resident ID. The image in Base64, without `data:image/png;base64,`."""

    interface: ClassVar[str] = "ocrInfo"
    image_content: str = wire(
        "身份证图片", missing=10041, form=Form.BASE64, wrong=-10040, limit=IMAGE, patient=True, note="百 K 级别"
    )


@message
class IdCard(Message):
    """3.2.5: what stands on the card. `birth` as 1991/5/25, `nation` without 族."""

    name: str = wire("姓名", patient=True)
    id_number: str = wire("身份证号", name="id", patient=True, vital=True)
    gender: str = wire("性别", patient=True)
    nation: str = wire("民族", patient=True, note="汉、满等")
    birth: str = wire("出生日期", patient=True, note="1991/5/25")
    address: str = wire("地址", patient=True)
    authority: str = wire("签发机关", default="", patient=True)
    valid_date: str = wire("有效期", default="", patient=True)


@message
class OcrAnswer(Message):
    """3.2.5: one resident ID."""

    card_info: IdCard = wire("身份证信息", form=Form.OBJECT, message=IdCard, vital=True)


@message
class BindCardRelation(Request["Bound"]):
    """3.2.6: bind a card to the hospital's own id of the patient; the latest binding counts."""

    interface: ClassVar[str] = "bindCardRelation"
    patid: str = wire("院内 ID", missing=10033, limit=KEY, patient=True)
    qr_code_text: str = wire("二维码文本", missing=10018, limit=QR_TEXT, patient=True)


@message
class Bound(Message):
    """3.2.6: whether it is bound now."""

    result: bool = wire("绑定结果", form=Form.TRUTH, vital=True)


@message
class ReportHisData(Request["Reported"]):
    """3.2.7: report one card use. cardCostTypes, hospitalCode and subHospitalCode are of newer documents."""

    interface: ClassVar[str] = "reportHISData"
    qr_code_text: str = wire(
        "二维码文本", default="", missing=10018, limit=QR_TEXT, when=Condition("card_type", HEALTH_CARDS), patient=True
    )
    id_card_number: str = wire(
        "身份证号码",
        default="",
        missing=10014,
        form=Form.ID_NUMBER,
        of="card_type",
        limit=NUMBER,
        when=Condition("card_type", OTHER_DOCUMENTS),
        patient=True,
    )
    name: str = wire(
        "姓名", default="", missing=10013, limit=NAME, when=Condition("card_type", OTHER_DOCUMENTS), patient=True
    )
    time: str = wire("时间", form=Form.MOMENT)
    hospital_id: str = wire("医院ID", limit=KEY)
    hospital_code: str = wire("医院代码", default="", limit=KEY, profiles=("current",))
    sub_hospital_code: str = wire("院区代码", default="", limit=KEY, profiles=("current",))
    scene: str = wire("用卡环节", table="scene")
    department: str = wire("用卡科室", default="", limit=KEY, when=Condition("scene", REGISTRATION_SCENES))
    card_type: str = wire("证件类型", table="card_type")
    card_channel: str = wire("用卡渠道", table="channel", named=True)
    card_cost_types: str = wire(
        "用卡费别", default="", table="cost_type", when=Condition("scene", CHARGE_SCENES), profiles=("current",)
    )


@message
class Reported(Message):
    """3.2.7: nothing but that it was accepted."""

    none: str = wire("占位", default="")


@message
class GetOrderIdByOutAppId(Request["OrderId"]):
    """3.2.8: an order with which a user takes the card into the WeChat card package; good for one use."""

    interface: ClassVar[str] = "getOrderIdByOutAppId"
    app_id: str = wire("服务号开发商用户凭证", missing=21002, limit=KEY)
    qr_code_text: str = wire("二维码文本", missing=10018, limit=QR_TEXT, patient=True)


@message
class OrderId(Message):
    """3.2.8: the order."""

    order_id: str = wire("订单 ID", patient=True, vital=True)


@message
class PatientToRegister(Message):
    """3.2.9: one patient of a batch."""

    wechat_code: str = wire("离线微信身份码", missing=10012, limit=KEY, note="固定值，请联系对接人员获取")
    name: str = wire("姓名", missing=10013, limit=NAME, patient=True)
    gender: str = wire("性别", missing=-10025, values=GENDERS, patient=True)
    nation: str = wire("民族", missing=-10025, limit=KEY, patient=True, note="没有该字段请填未知")
    birthday: str = wire("出生年月日", form=Form.DATE, patient=True)
    id_number: str = wire(
        "证件号码", missing=10014, form=Form.ID_NUMBER, of="id_type", limit=NUMBER, wrong=-10026, patient=True
    )
    id_type: str = wire("证件类型", missing=-10025, table="card_type")
    address: str = wire("地址", default="", limit=ADDRESS, patient=True)
    phone1: str = wire("联系方式1", missing=10043, limit=PHONE, patient=True)
    phone2: str = wire("联系方式2", default="", limit=PHONE, patient=True)
    patid: str = wire("院内 ID", missing=10033, limit=KEY, patient=True)
    open_id: str = wire("用户 openId", limit=KEY, patient=True)
    wechat_url: str = wire("微信跳转链接", form=Form.LINK, limit=LINK, note="服务号健康卡列表页面")


@message
class RegisterBatchHealthCard(Request["BatchAnswer"]):
    """3.2.9: register patients who have a hospital's own card. Their texts are signed as nested JSON."""

    interface: ClassVar[str] = "registerBatchHealthCard"
    health_card_items: tuple[PatientToRegister, ...] = wire(
        "用户信息", form=Form.LIST, message=PatientToRegister, limit=ITEMS_A_BATCH
    )


@message
class BatchItem(Message):
    """3.2.9: what became of one patient: a QR text if registered, an empty one if not. Nothing says why not."""

    qr_code_text: str = wire("二维码文本", default="", patient=True)
    id_number: str = wire("证件号码", patient=True, vital=True)
    health_card_id: str = wire("健康卡 ID", default="", patient=True, note="二维码为动态时有值")


@message
class BatchAnswer(Message):
    """3.2.9: one item a patient."""

    rsp_items: tuple[BatchItem, ...] = wire("项目", form=Form.LIST, message=BatchItem, vital=True)


@message
class GetDynamicQrCode(Request["DynamicQrCode"]):
    """3.2.10: a new dynamic QR code of a card, to be shown on a page."""

    interface: ClassVar[str] = "getDynamicQRCode"
    health_card_id: str = wire("健康卡 ID", missing=10006, limit=128, patient=True)
    id_type: str = wire("证件类型", table="card_type")
    id_number: str = wire(
        "证件号码", missing=10014, form=Form.ID_NUMBER, of="id_type", limit=NUMBER, wrong=-10026, patient=True
    )


@message
class DynamicQrCode(Message):
    """3.2.10: the text, and the picture in Base64."""

    qr_code_text: str = wire("二维码文本", patient=True, vital=True)
    qr_code_img: str = wire("二维码图片", patient=True)


@message
class VerifyQrCode(Request["VerifiedCard"]):
    """3.2.11: verify a dynamic QR text at a terminal; the platform counts this as a card use by itself."""

    interface: ClassVar[str] = "verifyQRCode"
    qr_code_text: str = wire("二维码文本", missing=10018, limit=QR_TEXT, patient=True)
    terminal_id: str = wire("终端 Id", missing=-10024, limit=KEY)
    time: str = wire("时间", form=Form.MOMENT)
    medical_step: str = wire("用卡环节", table="scene")
    use_city_code: str = wire("用卡城市代码", limit=KEY)
    use_city_name: str = wire("用卡城市名称", limit=KEY)
    hospital_code: str = wire("医院代码", limit=KEY)
    hospital_name: str = wire("医院名称", limit=NAME)
    org_id: str = wire("发卡机构", default="", limit=KEY)
    name: str = wire("姓名", default="", limit=NAME, patient=True)
    id_card: str = wire("身份证号码", default="", form=Form.ID_NUMBER, of="use_type", limit=NUMBER, patient=True)
    use_scene: str = wire("使用场景", default="", table="scene")
    use_type: str = wire("证件类型", default="", table="card_type")
    use_channel: str = wire("用卡渠道", default="", table="channel")


@message
class VerifiedCard(Message):
    """3.2.11: the holder of a verified card."""

    address: str = wire("地址", patient=True)
    birthday: str = wire("出生日期", patient=True)
    health_card_id: str = wire("健康卡 ID", patient=True, vital=True)
    id_number: str = wire("证件号码", patient=True)
    id_type: str = wire("证件类型")
    phid: str = wire("健康卡主索引", patient=True)
    name: str = wire("姓名", patient=True)
    nation: str = wire("民族", patient=True)
    phone: str = wire("电话号码", patient=True)
    gender: str = wire("性别", patient=True)
