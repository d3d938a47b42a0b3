"""What every command that loads or stores a model finds out first, and that stays so: packages, names of old weights.

The warm Python imports it (`warm.PROJECT`).
"""

from mlflow.utils import requirements_utils
from transformers import conversion_mapping

from nertransfer.tracking import provenance

requirements_utils._init_modules_to_packages_map()
conversion_mapping.get_checkpoint_conversion_mapping("xlm-roberta")
provenance.environment()
