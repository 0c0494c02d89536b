"""Fit the encoding model of Bonnasse-Gahot & Pallier with scikit-learn, as a slow reference."""

import numpy as np
from sklearn.linear_model import Ridge


def published_method(regressors, fmri, alphas):
    """Return correlations and alphas of nested cross-validation, with one fit for each alpha, one voxel at a time."""
    regressors = [run.astype(np.float64) for run in regressors]
    fmri = [run.astype(np.float64) for run in fmri]
    n_voxels = fmri[0].shape[1]

    def correlations(train, test, alpha):
        model = Ridge(alpha=alpha, fit_intercept=False)
        model.fit(np.vstack([regressors[run] for run in train]), np.vstack([fmri[run] for run in train]))
        predicted = model.predict(regressors[test]).reshape(-1, n_voxels)
        return [np.corrcoef(fmri[test][:, voxel], predicted[:, voxel])[0, 1] for voxel in range(n_voxels)]

    results, chosen = [], []
    for run_test in range(len(regressors)):
        runs_train = np.setdiff1d(np.arange(len(regressors)), run_test)
        run_validation = runs_train[0]
        runs_fitted = np.setdiff1d(runs_train, run_validation)
        scores = [np.mean(correlations(runs_fitted, run_validation, alpha)) for alpha in alphas]
        chosen.append(alphas[np.argmax(scores)])
        results.append(correlations(runs_train, run_test, chosen[-1]))
    return np.array(results), np.array(chosen)
