"""Twenty rows of each other data set's table, by hand, and what they have to become."""

CHEXPERT_COLUMNS = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
# One path of each row; the file names are not unique. Labels from No Finding on.
CHEXPERT = f"""{CHEXPERT_COLUMNS}
set/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0
set/train/patient00002/study1/view1_frontal.jpg,Female,87,Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,
set/train/patient00002/study2/view1_frontal.jpg,Female,87,Frontal,PA,,,1.0,1.0,,,,1.0,,,0.0,,,
set/train/patient00002/study1/view2_lateral.jpg,Female,87,Lateral,,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,
set/train/patient00003/study1/view1_frontal.jpg,Male,41,Frontal,AP,,,,,,1.0,,,,0.0,,,,
set/train/patient00004/study1/view1_frontal.jpg,Male,20,Frontal,PA,,,,,1.0,,,,,,,,,
set/train/patient00004/study1/view2_lateral.jpg,Male,20,Lateral,,,,,,1.0,,,,,,,,,
set/train/patient00005/study1/view1_frontal.jpg,Male,33,Frontal,PA,1.0,,0.0,,0.0,,,,,,0.0,,,1.0
set/train/patient00006/study1/view1_frontal.jpg,Unknown,0,Frontal,AP,,,,,-1.0,,,,1.0,,1.0,,,
set/train/patient00007/study1/view1_frontal.jpg,Male,69,Frontal,AP,,1.0,,,,,,,,1.0,,,,
set/train/patient00008/study1/view1_frontal.jpg,Male,81,Frontal,AP,,,1.0,1.0,,-1.0,,,,-1.0,,,,
set/train/patient00009/study1/view1_frontal.jpg,Male,76,Frontal,PA,,,,,,,1.0,-1.0,,,1.0,1.0,,
set/train/patient00010/study1/view1_frontal.jpg,Female,50,Frontal,PA,,0.0,0.0,,,0.0,0.0,0.0,0.0,0.0,0.0,,,
set/train/patient00011/study1/view1_frontal.jpg,Female,19,Frontal,AP,,,,,,,,,,,,,,1.0
set/train/patient00012/study1/view1_frontal.jpg,Female,22,Frontal,AP,,,,1.0,,1.0,1.0,1.0,1.0,1.0,1.0,,,
set/train/patient00012/study1/view2_lateral.jpg,Female,22,Lateral,,,,,1.0,,1.0,1.0,1.0,1.0,1.0,1.0,,,
set/train/patient00013/study1/view1_frontal.jpg,Male,90,Frontal,LL,,,,,,,,,1.0,,,,,
set/train/patient00014/study1/view1_frontal.jpg,Male,54,Frontal,AP,1.0,,,,,,,,,,,,,
set/train/patient00015/study1/view1_frontal.jpg,Male,54,Frontal,AP,,,,,,,,1,,,,,,
set/train/patient00016/study1/view1_frontal.jpg,Female,61,Frontal,PA,,,1,0,,,-1,,,,,,,
"""
# Patient and study to what it has, and what it does not say beyond what CheXpert never says.
CHEXPERT_EXPECTED = {
    "1/1": ("No Finding", ""),
    "2/1": ("", "Atelectasis Consolidation Edema Effusion Cardiomegaly"),
    "2/2": ("Pneumonia Cardiomegaly", ""),
    "3/1": ("Edema", ""),
    "4/1": ("", "Nodule Mass"),
    "5/1": ("No Finding", ""),
    "6/1": ("Atelectasis Effusion", "Nodule Mass"),
    "7/1": ("Pneumothorax", ""),
    "8/1": ("Cardiomegaly", "Edema Pneumothorax"),
    "9/1": ("Consolidation Effusion", "Pneumonia"),
    "10/1": ("", ""),
    "11/1": ("", ""),
    "12/1": ("Atelectasis Consolidation Edema Effusion Pneumonia Pneumothorax", ""),
    "13/1": ("Atelectasis", ""),
    "14/1": ("No Finding", ""),
    "15/1": ("Pneumonia", ""),
    "16/1": ("Cardiomegaly", "Consolidation"),
}
CHEXPERT_SILENT = "Infiltration Emphysema Fibrosis Pleural_Thickening Hernia Other"

VINBIGDATA = """image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
a1,No finding,14,R1,,,,
a1,No finding,14,R2,,,,
a1,No finding,14,R3,,,,
b2,Cardiomegaly,3,R1,691,1375,1653,1831
b2,Aortic enlargement,0,R1,1264,743,1611,1019
b2,Cardiomegaly,3,R2,690,1370,1650,1830
b2,No finding,14,R3,,,,
c3,Nodule/Mass,8,R4,100,100,200,200
c3,Nodule/Mass,8,R4,300,300,400,400
c3,Nodule/Mass,8,R5,100,100,200,200
c3,Pleural thickening,11,R6,50,50,90,90
d4,Pleural effusion,10,R1,1,2,30,40
d4,Pulmonary fibrosis,13,R1,1,2,30,40
d4,Pulmonary fibrosis,13,R2,1,2,30,40
d4,Pleural effusion,10,R3,1,2,30,40
d4,Pleural effusion,10,R3,50,60,70,80
e5,Infiltration,6,R1,5,5,50,50
e5,Pneumothorax,12,R2,5,5,50,50
f6,Atelectasis,1,R1,5,5,50,50
f6,Consolidation,4,R1,7,7,50,50
"""
VINBIGDATA_EXPECTED = {
    "a1": ("No Finding", ""),
    "b2": ("Cardiomegaly", ""),
    "c3": ("", "Nodule Mass"),
    "d4": ("Effusion Fibrosis", ""),
    "e5": ("", "Infiltration Pneumothorax"),  # one of two readers each: neither for nor against
    "f6": ("Atelectasis Consolidation", ""),
}
VINBIGDATA_SILENT = "Edema Emphysema Pneumonia Hernia Other"

OWN_MAPPING = """
name = "our hospital"
title = "Our hospital, 2024"
labelled_by = "Two residents read the pictures."
image = "file"
patient = "case"
age = "years"
sex = "sex"
view = "view"
frontal = ["PA", "AP", "supine"]
positive = ["yes"]
negative = ["no"]
uncertain = ["maybe"]
blank = "unknown"

[labels]
"fluid" = "Effusion"
"big heart" = "Cardiomegaly"
"hernia" = "Hernia"
"healthy" = "No Finding"

[either]
"round shadow" = ["Nodule", "Mass"]

[unused]
"implant" = "no finding of ours"

[reasons]
"big heart" = "by eye, not measured"
"""
OWN = """file,case,years,sex,view,fluid,big heart,hernia,healthy,round shadow,implant
a/1.png,17,50Y,m,PA,yes,no,,no,no,yes
a/2.png,17,51,M,AP,no,yes,maybe,no,,
a/3.png,18,,f,supine,maybe,,,,yes,
b/1.png,19,200,F,PA,no,no,no,yes,no,
b/2.png,19,40,F,LAT,no,no,no,yes,no,
b/3.png,20,40,F,PA,,,,,,
b/4.png,21,40,F,PA,yes,yes,yes,no,maybe,
b/5.png,22,40,F,PA,yes,no,no,no,no,
b/6.png,23,40,F,PA,yes,no,no,no,no,
b/7.png,24,40,F,PA,no,no,no,no,no,
b/8.png,25,40,F,PA,no,yes,no,no,no,
b/9.png,26,40,F,LAT,no,yes,no,no,no,
c/1.png,27,40,F,PA,no,yes,no,no,no,
c/2.png,28,40,F,PA,no,no,no,yes,no,
c/3.png,29,40,F,PA,no,no,no,yes,no,
c/4.png,30,40,F,PA,no,no,no,yes,no,
c/5.png,31,40,F,PA,no,no,no,yes,no,
c/6.png,32,40,F,PA,no,no,no,yes,no,
c/7.png,33,40,F,PA,no,no,no,yes,no,
c/8.png,34,40,F,PA,maybe,maybe,maybe,maybe,maybe,
"""
OWN_EXPECTED = {
    "a/1.png": ("Effusion", "Hernia"),
    "a/2.png": ("Cardiomegaly", "Nodule Hernia Mass"),
    "a/3.png": ("", "Effusion Cardiomegaly Hernia Nodule Mass;No Finding"),
    "b/1.png": ("No Finding", ""),
    "b/3.png": ("", "Effusion Cardiomegaly Hernia Nodule Mass;No Finding"),
    "b/4.png": ("Effusion Cardiomegaly Hernia", "Nodule Mass"),
    "b/5.png": ("Effusion", ""),
    "b/6.png": ("Effusion", ""),
    "b/7.png": ("", ""),
    "b/8.png": ("Cardiomegaly", ""),
    "c/1.png": ("Cardiomegaly", ""),
    **{f"c/{number}.png": ("No Finding", "") for number in range(2, 8)},
    "c/8.png": ("", "Effusion Cardiomegaly Hernia Nodule Mass;No Finding"),
}
OWN_SILENT = (
    "Atelectasis Consolidation Infiltration Pneumothorax Edema Emphysema Fibrosis Pneumonia "
    "Pleural_Thickening Other"
)


def names(text: str) -> set[str]:
    """`A B;No Finding` or `No Finding` as labels."""
    found = set()
    for part in text.split(";"):
        found |= {part} if part == "No Finding" else set(part.split())
    return found


MIMIC_LABELS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,"
    "Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
MIMIC = f"""subject_id,study_id,{MIMIC_LABELS}
10000032,50414267,,,,,,,,,1.0,,,,,
10000032,53189527,1.0,0.0,,,,,,1.0,,-1.0,,,0.0,1.0
10000764,57375967,,,1.0,,,,-1.0,,,,,-1.0,,
10000898,50771383,,,,,,,1.0,1.0,,,,,,
10000935,50578979,,,,-1.0,,,,,,1.0,,1.0,,
10000980,50985099,,1.0,,1.0,,,0.0,,,1.0,1.0,,,
10001038,52000001,-1.0,-1.0,-1.0,-1.0,-1.0,-1.0,-1.0,-1.0,,-1.0,-1.0,-1.0,-1.0,-1.0
10001038,52000002,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,,0.0,0.0,0.0,0.0,0.0
10001122,52000003,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,,1.0,1.0,1.0,1.0,1.0
10001122,52000004,,,,,,,,,,,,,,1.0
"""
MIMIC_METADATA = """dicom_id,subject_id,study_id,ViewPosition,StudyDate
aa01,10000032,50414267,PA,21800506
aa02,10000032,50414267,LATERAL,21800506
bb01,10000032,53189527,AP,21800626
bb02,10000032,53189527,LL,21800626
cc01,10000764,57375967,AP,21321015
cc02,10000764,57375967,PA,21321015
dd01,10000898,50771383,PA,21880323
dd02,10000898,50771383,,21880323
ee01,10000935,50578979,PA,21870823
ff01,10000980,50985099,PA,21850526
ff02,10000980,50985099,LATERAL,21850526
gg01,10000999,59999999,PA,21850526
hh01,10001038,52000001,AP,21850526
hh02,10001038,52000001,AP,21850526
ii01,10001038,52000002,PA,21850601
ii02,10001038,52000002,LATERAL,21850601
jj01,10001122,52000003,AP,21850601
kk01,10001122,52000004,PA,21850601
kk02,10001122,52000004,LL,21850601
kk03,10001122,52000004,PA,21850601
"""
_CHEXPERT_SAYS = "Atelectasis Cardiomegaly Consolidation Edema Effusion Pneumonia Pneumothorax"
MIMIC_EXPECTED = {
    "aa01": ("No Finding", ""),
    "bb01": ("Atelectasis", "Effusion"),
    "cc01": ("Consolidation", "Nodule Mass Pneumonia"),
    "cc02": ("Consolidation", "Nodule Mass Pneumonia"),
    "dd01": ("", "Nodule Mass"),
    "ee01": ("Effusion Pneumonia", "Edema"),
    "ff01": ("Cardiomegaly Edema Effusion", ""),
    **dict.fromkeys(("hh01", "hh02"), ("", f"{_CHEXPERT_SAYS} Nodule Mass")),
    "ii01": ("", ""),
    "jj01": (_CHEXPERT_SAYS, "Nodule Mass"),
    **dict.fromkeys(("kk01", "kk03"), ("", "")),
}

PADCHEST_COLUMNS = (
    ",ImageID,StudyID,PatientID,PatientSex_DICOM,Projection,MethodLabel,Labels,PatientBirth,"
    "StudyDate_DICOM"
)
PADCHEST = f"""{PADCHEST_COLUMNS}
0,1.png,S1,P1,M,PA,Physician,"['pleural effusion', 'pseudonodule']",1930,20140915
1,2.png,S1,P1,M,L,Physician,"['pleural effusion', 'pseudonodule']",1930,20140915
2,3.png,S2,P2,F,PA,RNN_model,['normal'],1950,20140915
3,4.png,S3,P3,F,AP_horizontal,RNN_model,"['subcutaneous emphysema', 'pneumothorax']",1950,20140915
4,5.png,S4,P4,F,AP,RNN_model,"['nodule', ' multiple nodules']",1950,20140915
5,6.png,S5,P5,F,PA,RNN_model,['hydropneumothorax'],1950,20140915
6,7.png,S6,P6,F,PA,RNN_model,['unchanged'],1950,20140915
7,8.png,S7,P7,F,PA,RNN_model,"['unchanged', 'cardiomegaly']",1950,20140915
8,9.png,S8,P8,F,PA,RNN_model,['exclude'],1950,20140915
9,10.png,S9,P9,F,PA,RNN_model,,1950,20140915
10,11.png,S10,P10,F,PA,Physician,"['emphysema', 'pulmonary fibrosis', 'mass']",1950,20140915
11,12.png,S11,P11,F,COSTAL,Physician,['rib fracture'],1950,20140915
12,13.png,S12,P12,F,PA,Physician,"['pulmonary edema', 'air bronchogram', '']",1950,20140915
13,14.png,S13,P13,F,PA,Physician,"['laminar atelectasis', 'scoliosis']",1950,20140915
14,15.png,S14,P14,F,PA,Physician,"['interstitial pattern', 'fibrotic band']",1950,20140915
15,16.png,S15,P15,F,PA,Physician,"['apical pleural thickening', 'pleural plaques']",1950,20140915
16,17.png,S16,P16,F,PA,Physician,"['hiatal hernia', 'soft tissue mass']",1950,20140915
17,18.png,S17,P17,F,PA,Physician,['Atypical Pneumonia'],1950,20140915
18,19.png,S18,P18,F,EXCLUDE,Physician,['normal'],1950,20140915
19,20.png,S19,P19,F,PA,Physician,[],1950,20140915
"""
_PADCHEST_ALL = (
    "Atelectasis Consolidation Infiltration Pneumothorax Edema Emphysema Fibrosis Effusion "
    "Pneumonia Pleural_Thickening Cardiomegaly Nodule Hernia Mass"
)
PADCHEST_EXPECTED = {
    "1.png": ("Effusion", ""),
    "3.png": ("No Finding", ""),
    "4.png": ("Pneumothorax", ""),
    "5.png": ("Nodule", ""),
    "6.png": ("Pneumothorax Effusion", ""),
    "7.png": ("", _PADCHEST_ALL + ";No Finding"),
    "8.png": ("Cardiomegaly", _PADCHEST_ALL.replace("Cardiomegaly ", "") + ";No Finding"),
    "11.png": ("Emphysema Fibrosis Mass", ""),
    "13.png": ("Edema Consolidation", ""),
    "14.png": ("Atelectasis", ""),
    "15.png": ("Infiltration", ""),
    "16.png": ("Pleural_Thickening", ""),
    "17.png": ("Hernia", ""),
    "18.png": ("Pneumonia", ""),
}

RSNA = """patientId,x,y,width,height,Target
r01,,,,,0
r02,100.0,200.0,50.0,60.0,1
r02,300.0,200.0,50.0,60.0,1
r03,,,,,0
r04,10.0,20.0,5.0,6.0,1
r05,,,,,0
r06,,,,,0
r07,10.0,20.0,5.0,6.0,1
r07,30.0,20.0,5.0,6.0,1
r07,50.0,20.0,5.0,6.0,1
r08,,,,,0
r09,10.0,20.0,5.0,6.0,1
r10,,,,,0
r11,,,,,0
r12,900.0,900.0,124.0,124.0,1
r13,,,,,0
r14,,,,,0
r15,10.0,20.0,5.0,6.0,1
r16,,,,,0
r17,,,,,0
"""
RSNA_MAPPING = """patientId,Image Index
r01,00000013_026.png
r02,00000013_027.png
r03,00000200_000.png
r04,00030805_000.png
r06,00000201_000.png
r07,00000202_000.png
r08,00000203_000.png
r09,00000204_000.png
r10,00000205_000.png
r11,00000206_000.png
r12,00000207_000.png
r13,00000208_000.png
r14,00000209_000.png
r15,00000210_000.png
r16,00000211_000.png
r17,00000211_001.png
"""
RSNA_EXPECTED = {
    "00000013_026.png": ("", ""),
    "00000013_027.png": ("Pneumonia", ""),
    "00000200_000.png": ("", ""),
    "00030805_000.png": ("Pneumonia", ""),
    **{f"00000{number}_000.png": ("Pneumonia", "") for number in (202, 204, 207, 210)},
    **{f"00000{n}_000.png": ("", "") for n in (201, 203, 205, 206, 208, 209, 211)},
    "00000211_001.png": ("", ""),
}


def all_but(label: str) -> str:
    """Every label but one, as `names` reads them."""
    return " ".join(n for n in (_PADCHEST_ALL + " Other").split() if n != label) + ";No Finding"
