from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Output(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_UNSPECIFIED: _ClassVar[Output]
    OUTPUT_DICOM_SEG: _ClassVar[Output]

class Registration(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REGISTRATION_UNSPECIFIED: _ClassVar[Registration]
    REGISTRATION_RIGID: _ClassVar[Registration]

class SmoothMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SMOOTH_METHOD_UNSPECIFIED: _ClassVar[SmoothMethod]
    SMOOTH_METHOD_GAUSSIAN: _ClassVar[SmoothMethod]
    SMOOTH_METHOD_OPEN: _ClassVar[SmoothMethod]
OUTPUT_UNSPECIFIED: Output
OUTPUT_DICOM_SEG: Output
REGISTRATION_UNSPECIFIED: Registration
REGISTRATION_RIGID: Registration
SMOOTH_METHOD_UNSPECIFIED: SmoothMethod
SMOOTH_METHOD_GAUSSIAN: SmoothMethod
SMOOTH_METHOD_OPEN: SmoothMethod

class TotalsegRequest(_message.Message):
    __slots__ = ("image_path", "force", "output")
    IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    image_path: str
    force: bool
    output: _containers.RepeatedScalarFieldContainer[Output]
    def __init__(self, image_path: _Optional[str] = ..., force: _Optional[bool] = ..., output: _Optional[_Iterable[_Union[Output, str]]] = ...) -> None: ...

class VesselRequest(_message.Message):
    __slots__ = ("image_A_path", "image_P_path", "registration", "force", "output")
    IMAGE_A_PATH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_P_PATH_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    image_A_path: str
    image_P_path: str
    registration: Registration
    force: bool
    output: _containers.RepeatedScalarFieldContainer[Output]
    def __init__(self, image_A_path: _Optional[str] = ..., image_P_path: _Optional[str] = ..., registration: _Optional[_Union[Registration, str]] = ..., force: _Optional[bool] = ..., output: _Optional[_Iterable[_Union[Output, str]]] = ...) -> None: ...

class UreterRequest(_message.Message):
    __slots__ = ("image_D_path", "force", "output")
    IMAGE_D_PATH_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    image_D_path: str
    force: bool
    output: _containers.RepeatedScalarFieldContainer[Output]
    def __init__(self, image_D_path: _Optional[str] = ..., force: _Optional[bool] = ..., output: _Optional[_Iterable[_Union[Output, str]]] = ...) -> None: ...

class TumorRequest(_message.Message):
    __slots__ = ("image_path", "force", "output")
    IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    image_path: str
    force: bool
    output: _containers.RepeatedScalarFieldContainer[Output]
    def __init__(self, image_path: _Optional[str] = ..., force: _Optional[bool] = ..., output: _Optional[_Iterable[_Union[Output, str]]] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("tasks", "image_path", "image_A_path", "image_P_path", "image_D_path", "registration", "force", "output")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_A_PATH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_P_PATH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_D_PATH_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedScalarFieldContainer[str]
    image_path: str
    image_A_path: str
    image_P_path: str
    image_D_path: str
    registration: Registration
    force: bool
    output: _containers.RepeatedScalarFieldContainer[Output]
    def __init__(self, tasks: _Optional[_Iterable[str]] = ..., image_path: _Optional[str] = ..., image_A_path: _Optional[str] = ..., image_P_path: _Optional[str] = ..., image_D_path: _Optional[str] = ..., registration: _Optional[_Union[Registration, str]] = ..., force: _Optional[bool] = ..., output: _Optional[_Iterable[_Union[Output, str]]] = ...) -> None: ...

class AliasRequest(_message.Message):
    __slots__ = ("alias", "image_path", "images", "force", "output")
    class ImagesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    alias: str
    image_path: str
    images: _containers.ScalarMap[str, str]
    force: bool
    output: _containers.RepeatedScalarFieldContainer[Output]
    def __init__(self, alias: _Optional[str] = ..., image_path: _Optional[str] = ..., images: _Optional[_Mapping[str, str]] = ..., force: _Optional[bool] = ..., output: _Optional[_Iterable[_Union[Output, str]]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[OfferedModel]
    def __init__(self, models: _Optional[_Iterable[_Union[OfferedModel, _Mapping]]] = ...) -> None: ...

class OfferedModel(_message.Message):
    __slots__ = ("alias", "endpoint", "model", "version", "channels", "labels", "usable")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    USABLE_FIELD_NUMBER: _ClassVar[int]
    alias: str
    endpoint: str
    model: str
    version: str
    channels: _containers.RepeatedCompositeFieldContainer[OfferedChannel]
    labels: _containers.RepeatedCompositeFieldContainer[OfferedLabel]
    usable: bool
    def __init__(self, alias: _Optional[str] = ..., endpoint: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., channels: _Optional[_Iterable[_Union[OfferedChannel, _Mapping]]] = ..., labels: _Optional[_Iterable[_Union[OfferedLabel, _Mapping]]] = ..., usable: _Optional[bool] = ...) -> None: ...

class OfferedChannel(_message.Message):
    __slots__ = ("name", "field", "modality", "phase")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    name: str
    field: str
    modality: _containers.RepeatedScalarFieldContainer[str]
    phase: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., field: _Optional[str] = ..., modality: _Optional[_Iterable[str]] = ..., phase: _Optional[_Iterable[str]] = ...) -> None: ...

class OfferedLabel(_message.Message):
    __slots__ = ("value", "name")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    value: int
    name: str
    def __init__(self, value: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class SmoothMaskRequest(_message.Message):
    __slots__ = ("mask_path", "labels", "method", "strength", "force")
    MASK_PATH_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    mask_path: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    method: SmoothMethod
    strength: float
    force: bool
    def __init__(self, mask_path: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., method: _Optional[_Union[SmoothMethod, str]] = ..., strength: _Optional[float] = ..., force: _Optional[bool] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("step", "labels", "together", "components", "min_volume_mm3", "max_volume_mm3", "radius_mm", "sigma_mm")
    STEP_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    MIN_VOLUME_MM3_FIELD_NUMBER: _ClassVar[int]
    MAX_VOLUME_MM3_FIELD_NUMBER: _ClassVar[int]
    RADIUS_MM_FIELD_NUMBER: _ClassVar[int]
    SIGMA_MM_FIELD_NUMBER: _ClassVar[int]
    step: str
    labels: _containers.RepeatedScalarFieldContainer[int]
    together: bool
    components: int
    min_volume_mm3: float
    max_volume_mm3: float
    radius_mm: float
    sigma_mm: float
    def __init__(self, step: _Optional[str] = ..., labels: _Optional[_Iterable[int]] = ..., together: _Optional[bool] = ..., components: _Optional[int] = ..., min_volume_mm3: _Optional[float] = ..., max_volume_mm3: _Optional[float] = ..., radius_mm: _Optional[float] = ..., sigma_mm: _Optional[float] = ...) -> None: ...

class PostprocessMaskRequest(_message.Message):
    __slots__ = ("mask_path", "steps", "force")
    MASK_PATH_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    mask_path: str
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    force: bool
    def __init__(self, mask_path: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., force: _Optional[bool] = ...) -> None: ...

class MaskResponse(_message.Message):
    __slots__ = ("mask_path", "seg_path", "volumes_ml", "model", "model_sha256", "existing", "timings_s", "warnings", "volumes")
    class VolumesMlEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class TimingsSEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MASK_PATH_FIELD_NUMBER: _ClassVar[int]
    SEG_PATH_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_ML_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    EXISTING_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_S_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    mask_path: str
    seg_path: str
    volumes_ml: _containers.ScalarMap[str, float]
    model: str
    model_sha256: str
    existing: bool
    timings_s: _containers.ScalarMap[str, float]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    volumes: _containers.RepeatedCompositeFieldContainer[LabelVolume]
    def __init__(self, mask_path: _Optional[str] = ..., seg_path: _Optional[str] = ..., volumes_ml: _Optional[_Mapping[str, float]] = ..., model: _Optional[str] = ..., model_sha256: _Optional[str] = ..., existing: _Optional[bool] = ..., timings_s: _Optional[_Mapping[str, float]] = ..., warnings: _Optional[_Iterable[str]] = ..., volumes: _Optional[_Iterable[_Union[LabelVolume, _Mapping]]] = ...) -> None: ...

class LabelVolume(_message.Message):
    __slots__ = ("label", "ml")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ML_FIELD_NUMBER: _ClassVar[int]
    label: str
    ml: float
    def __init__(self, label: _Optional[str] = ..., ml: _Optional[float] = ...) -> None: ...

class BatchResponse(_message.Message):
    __slots__ = ("masks",)
    class MasksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: MaskResponse
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[MaskResponse, _Mapping]] = ...) -> None: ...
    MASKS_FIELD_NUMBER: _ClassVar[int]
    masks: _containers.MessageMap[str, MaskResponse]
    def __init__(self, masks: _Optional[_Mapping[str, MaskResponse]] = ...) -> None: ...

class JobRequest(_message.Message):
    __slots__ = ("totalseg", "vessel", "ureter", "tumor", "batch", "smooth", "postprocess", "alias")
    TOTALSEG_FIELD_NUMBER: _ClassVar[int]
    VESSEL_FIELD_NUMBER: _ClassVar[int]
    URETER_FIELD_NUMBER: _ClassVar[int]
    TUMOR_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    SMOOTH_FIELD_NUMBER: _ClassVar[int]
    POSTPROCESS_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    totalseg: TotalsegRequest
    vessel: VesselRequest
    ureter: UreterRequest
    tumor: TumorRequest
    batch: BatchRequest
    smooth: SmoothMaskRequest
    postprocess: PostprocessMaskRequest
    alias: AliasRequest
    def __init__(self, totalseg: _Optional[_Union[TotalsegRequest, _Mapping]] = ..., vessel: _Optional[_Union[VesselRequest, _Mapping]] = ..., ureter: _Optional[_Union[UreterRequest, _Mapping]] = ..., tumor: _Optional[_Union[TumorRequest, _Mapping]] = ..., batch: _Optional[_Union[BatchRequest, _Mapping]] = ..., smooth: _Optional[_Union[SmoothMaskRequest, _Mapping]] = ..., postprocess: _Optional[_Union[PostprocessMaskRequest, _Mapping]] = ..., alias: _Optional[_Union[AliasRequest, _Mapping]] = ...) -> None: ...

class JobReference(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "state", "progress", "masks", "problem")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Job.State]
        STATE_QUEUED: _ClassVar[Job.State]
        STATE_RUNNING: _ClassVar[Job.State]
        STATE_DONE: _ClassVar[Job.State]
        STATE_FAILED: _ClassVar[Job.State]
        STATE_CANCELLED: _ClassVar[Job.State]
    STATE_UNSPECIFIED: Job.State
    STATE_QUEUED: Job.State
    STATE_RUNNING: Job.State
    STATE_DONE: Job.State
    STATE_FAILED: Job.State
    STATE_CANCELLED: Job.State
    class MasksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: MaskResponse
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[MaskResponse, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: Job.State
    progress: float
    masks: _containers.MessageMap[str, MaskResponse]
    problem: Problem
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[Job.State, str]] = ..., progress: _Optional[float] = ..., masks: _Optional[_Mapping[str, MaskResponse]] = ..., problem: _Optional[_Union[Problem, _Mapping]] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("code", "message", "retry")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retry: bool
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retry: _Optional[bool] = ...) -> None: ...
