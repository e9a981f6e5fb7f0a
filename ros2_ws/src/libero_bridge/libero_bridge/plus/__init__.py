"""LIBERO-plus: 10,030 perturbed tasks of LIBERO's four suites, run on LIBERO itself."""
