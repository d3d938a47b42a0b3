"""The published table of categories."""

# Beukman, NERTransfer, analysis/v10/categories/all_cats.tex: the rows of the three languages of the sample
PUBLISHED_LATEX = r"""\begin{tabular}{lllllll}
\toprule
           &               &                                             DATE &                          LOC &                             ORG &                             PER &                          overall \\
Lang & Pretrained &                                                  &                              &                                 &                                 &                                  \\
\midrule
wol (west) & base &                                       27.2 (2.8) &                   81.2 (2.1) &                      46.0 (4.9) &                      60.8 (1.6) &                      64.22 (1.3) \\
           & swa &                                       28.2 (4.2) &                   82.4 (1.9) &                      51.0 (3.3) &   \textcolor{green}{66.4 (2.7)} &                      67.29 (1.3) \\
           & lang-specific &  \textcolor{orange}{\textcolor{red}{26.6 (2.9)}} &                   83.2 (1.2) &  \textcolor{orange}{48.6 (3.7)} &  \textcolor{orange}{64.8 (4.0)} &  \textcolor{orange}{66.88 (1.7)} \\
\midrule
hau (west) & base &                                       82.6 (1.0) &                   93.2 (0.4) &                      74.6 (1.2) &                      93.2 (1.2) &                      89.45 (0.4) \\
           & swa &                      \textcolor{red}{82.4 (0.5)} &  \textcolor{red}{92.2 (0.7)} &                      75.6 (1.6) &     \textcolor{red}{92.4 (0.5)} &     \textcolor{red}{88.83 (0.2)} \\
           & lang-specific &                                       84.0 (1.1) &                   95.0 (0.6) &                      78.0 (2.1) &                      96.2 (0.7) &                      91.64 (0.4) \\
\midrule
swa (east) & base &                                       85.0 (1.7) &                   90.6 (0.5) &                      75.8 (2.3) &                      92.6 (1.2) &                      87.76 (0.5) \\
           & swa &                      \textcolor{red}{84.0 (2.5)} &                   92.4 (0.5) &                      78.0 (1.1) &                      96.2 (0.4) &                      89.64 (0.6) \\
           & lang-specific &                      \textcolor{red}{84.0 (2.5)} &                   92.4 (0.5) &                      78.0 (1.1) &                      96.2 (0.4) &                      89.64 (0.6) \\
\bottomrule
\end{tabular}
"""  # noqa: E501
