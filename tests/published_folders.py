"""Names of folders as the published study wrote them."""

from nertransfer.published import CellName


def target_folder(cell: CellName, target: str) -> str:
    """The name of the folder with a model's results on a target."""
    return f"{target}_zero_shot_{cell.folder}_{target}_{cell.epochs}"
